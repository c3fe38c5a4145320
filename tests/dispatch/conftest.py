"""The ledger that reports are applied to."""

from collections.abc import Iterator

import pytest

from tests.ledger.books import Books
from tests.virtual import Virtual


@pytest.fixture
def books(virtual: Virtual) -> Iterator[Books]:
    books = Books(virtual)
    yield books
    books.check()
    books.database.close()
