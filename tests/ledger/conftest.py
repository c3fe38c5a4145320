"""The ledger that every test here drives."""

from collections.abc import Iterator

import pytest

from tests.ledger.books import Books
from tests.virtual import Virtual


@pytest.fixture
def books(virtual: Virtual) -> Iterator[Books]:
    """Lend a ledger, and hold it to the laws of the house when the test is over."""
    books = Books(virtual)
    yield books
    books.check()
    books.database.close()
