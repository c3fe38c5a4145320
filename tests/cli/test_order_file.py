"""A line that cannot be read is named by its number and takes no other with it."""

import pytest

from app.cli.asking.output import Ends, Failure
from app.cli.order.file import BadRow, FileForm, Line, encoded, form_of, read

HEADING = b"client_order_id,symbol,quantity\n"


def lines_of(text: bytes, form: FileForm | None = None) -> list[Line | BadRow]:
    return list(read(text.splitlines(keepends=True), form))


def test_empty_cells_are_left_out_and_blank_lines_skipped() -> None:
    found = lines_of(HEADING + b"a-1,AAPL,\n\na-2,,3\n")

    assert found == [
        Line(2, {"client_order_id": "a-1", "symbol": "AAPL"}),
        Line(4, {"client_order_id": "a-2", "quantity": "3"}),
    ]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"a-2,AAPL\n", "expected 3 cells, found 2"),
        (b"a-2,AAPL,1,2\n", "expected 3 cells, found 4"),
        (b',"AAPL",1\n', "expected a client_order_id"),
        (b'a-2,"AAPL,1\n', "unexpected end of data"),
        (b"a-2,\xff,1\n", "expected UTF-8"),
    ],
)
def test_a_bad_csv_line_takes_no_other_with_it(line: bytes, detail: str) -> None:
    found = lines_of(HEADING + b"a-1,AAPL,1\n" + line + b'a-3,"MSFT",1\n')

    assert [getattr(row, "number", None) for row in found] == [2, None, 4]
    assert found[1] == BadRow(3, detail)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b'{"client_order_id": "a-2"', "expected JSON: Expecting ',' delimiter at column 26"),
        (b'["a-2"]', "expected a JSON object"),
        (b'{"symbol": "AAPL"}', "expected a client_order_id"),
        (b'{"client_order_id": ""}', "expected a client_order_id"),
        (b'{"client_order_id": "a", "client_order_id": "b"}', "a name stands there twice"),
        (b'{"client_order_id": "a", "quantity": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "expected an order, found a nest of brackets"),
    ],
)
def test_a_bad_json_line_takes_no_other_with_it(line: bytes, detail: str) -> None:
    good = b'{"client_order_id": "a-1"}\n'

    found = lines_of(good + line + b"\n" + good, FileForm.NDJSON)

    assert [type(row) for row in found] == [Line, BadRow, Line]
    assert isinstance(found[1], BadRow)
    assert found[1].line == 2
    assert found[1].detail.startswith(detail)


def test_numbers_leave_as_the_text_that_stands_in_the_file() -> None:
    text = b'{"client_order_id": "a", "quantity": 10, "limit_price": 185.50}'

    [line] = lines_of(text)

    assert isinstance(line, Line)
    assert b'"quantity":"10","limit_price":"185.50"' in encoded(line.number, line.fields).body


def test_the_first_line_of_a_pipe_tells_its_form() -> None:
    assert lines_of(b'\xef\xbb\xbf{"client_order_id": "a"}') == [Line(1, {"client_order_id": "a"})]
    assert lines_of(b"\xef\xbb\xbfclient_order_id\na\n") == [Line(2, {"client_order_id": "a"})]


@pytest.mark.parametrize(
    ("heading", "why"),
    [
        (b"client_order_id,limt_price\n", "unknown columns: limt_price"),
        (b"symbol\n", "expected a column client_order_id"),
        (b"client_order_id,symbol,symbol\n", "a column stands there twice"),
    ],
)
def test_a_heading_that_we_do_not_know_ends_all(heading: bytes, why: str) -> None:
    with pytest.raises(Failure) as failed:
        lines_of(heading + b"a-1,1\n", FileForm.CSV)

    assert failed.value.ends is Ends.USAGE
    assert failed.value.why == why


def test_a_file_of_another_kind_is_a_usage_error() -> None:
    with pytest.raises(Failure, match=r"orders\.xlsx"):
        form_of("orders.xlsx")
