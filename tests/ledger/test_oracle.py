"""Oracle's words, as text: no server has seen them. What is known to be refused is not said."""

import re
from typing import Final

import pytest

from app.ledger import oracle
from app.ledger.tables import PARTED, schema

DDL: Final = oracle.ddl()
TABLES: Final = [statement for statement in DDL if statement.startswith("CREATE TABLE")]
INDEXES: Final = [statement for statement in DDL if " INDEX " in statement[:22]]
# Of V$RESERVED_WORDS, what somebody might name a column or a table.
RESERVED: Final = frozenset(
    """access audit comment current date file group identified index initial level lock long mode
    number option order prior public row rowid rownum rows session share size start synonym trigger
    uid union unique user validate values view""".split()  # noqa: SIM905 - a list of words
)


def table(name: str) -> str:
    (found,) = (t for t in TABLES if t.split()[2].strip('"') == name)
    return found


def test_every_table_of_the_ledger_is_there() -> None:
    names = {statement.split()[2].strip('"') for statement in TABLES}

    assert names == set(schema("postgresql").tables)


@pytest.mark.parametrize("name", PARTED)
def test_what_is_kept_by_trade_date_makes_its_days_itself(name: str) -> None:
    assert table(name).endswith(
        "PARTITION BY RANGE (trade_date) INTERVAL (NUMTODSINTERVAL(1, 'DAY'))"
        " (PARTITION p0 VALUES LESS THAN (DATE '2026-01-01'))"
    )
    assert "\ttrade_date DATE NOT NULL" in table(name)


@pytest.mark.parametrize("name", PARTED)
def test_each_unique_index_of_a_day_holds_the_day(name: str) -> None:
    unique = [i for i in INDEXES if i.startswith("CREATE UNIQUE INDEX") and f" ON {name} " in i]
    (key,) = re.findall(r"PRIMARY KEY \(([^)]*)\) USING INDEX LOCAL", table(name))

    assert "trade_date" in key
    assert all("trade_date" in index and index.endswith(" LOCAL") for index in unique)


def test_keys_are_spread_by_account_and_know_no_date() -> None:
    assert table("order_keys").endswith("PARTITION BY HASH (account_id) PARTITIONS 16")
    assert "trade_date" not in table("order_keys")


def test_no_type_and_no_name_is_anothers() -> None:
    for statement in DDL:
        assert not re.search(r"\b(TEXT|BIGINT|NUMERIC|SMALLINT|BOOLEAN|hashtext)\b", statement)
        names = re.findall(r"^\t(\w+) ", statement, re.MULTILINE)
        assert not RESERVED.intersection(names)
    assert not RESERVED.intersection(t.split()[2] for t in TABLES)
    assert "\tpayload CLOB NOT NULL" in table("outbox")
    assert "\tstatus CLOB NOT NULL" in table("lanes")
    assert "\tstatus VARCHAR2(255 CHAR) NOT NULL" in table("orders")
    assert "\torder_id VARCHAR2(255 CHAR) NOT NULL" in table("orders")
    assert "\tquantity NUMBER NOT NULL" in table("orders")


def test_every_statement_is_whole() -> None:
    for statement in (*DDL, *oracle.CLAIM, oracle.drop_day("orders", "2026-03-02")):
        assert statement.count("(") == statement.count(")")
        assert ";" not in statement


def test_the_window_is_locked_and_has_no_limit() -> None:
    assert oracle.WINDOW.endswith(
        "ORDER BY d.rank, d.accept_sequence FOR UPDATE OF d.rank SKIP LOCKED"
    )
    for statement in oracle.CLAIM:
        assert "FETCH FIRST" not in statement
        assert "LIMIT" not in statement
        assert "FOR SHARE" not in statement


def test_a_claim_names_the_day_and_moves_only_what_it_read() -> None:
    assert "WHERE trade_date = :trade_date" in oracle.MOVE
    assert "version = :version AND status = 'queued'" in oracle.MOVE
    assert "l.epoch = :epoch" in oracle.FENCE


def test_a_day_leaves_without_breaking_the_indexes() -> None:
    assert oracle.drop_day("orders", "2026-03-02") == (
        "ALTER TABLE orders DROP PARTITION FOR (DATE '2026-03-02') UPDATE GLOBAL INDEXES"
    )
    with pytest.raises(AssertionError):
        oracle.drop_day("order_keys", "2026-03-02")
