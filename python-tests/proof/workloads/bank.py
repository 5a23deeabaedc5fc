"""What a true snapshot of the bank is: its accounts, and the book of all transfers.

Each transfer takes the next number of the book inside its transaction, so the numbers are the order
of the commits. A snapshot is a prefix of that order: it has all transfers up to one, no later one,
and just the balances to which these lead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ACCOUNTS = 60
OPENING = 1000

SCHEMA = f"""
CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filling BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {ACCOUNTS})
INSERT INTO accounts SELECT i, {OPENING}, zeroblob(700) FROM n;
CREATE TABLE book(
    seq INTEGER PRIMARY KEY, writer INTEGER, number INTEGER, giver INTEGER, taker INTEGER,
    amount INTEGER
);
CREATE INDEX book_writer ON book(writer, number);
"""
BALANCES = "SELECT id, balance FROM accounts ORDER BY id"
BOOK = "SELECT seq, writer, number, giver, taker, amount FROM book ORDER BY seq"


@dataclass(frozen=True)
class Snapshot:
    """What one database holds."""

    balances: Sequence[tuple[int, int]]
    #: seq, writer, number, giver, taker, amount
    book: Sequence[tuple[int, ...]]


def check(snapshot: Snapshot, least: int, most: int) -> None:
    """It is a prefix that has the transfers up to `least`, and none after `most`."""
    total = sum(balance for _, balance in snapshot.balances)
    assert total == ACCOUNTS * OPENING, f"the bank holds {total} instead of {ACCOUNTS * OPENING}"
    numbers = [row[0] for row in snapshot.book]
    count = len(numbers)
    gap = next((at for at, seq in enumerate(numbers, 1) if at != seq), 0)
    assert not gap, f"transfer {gap} is missing, but there is one after it"
    assert count >= least, f"{count} transfers, but {least} were acknowledged before the backup"
    assert count <= most, f"{count} transfers, but there were only {most} after the backup"
    own: Counter[int] = Counter()
    owned: Counter[int] = Counter()
    for seq, writer, number, giver, taker, amount in snapshot.book:
        own[writer] += 1
        assert number == own[writer], f"transfer {seq} is the {number}. of {writer}: one is missing"
        owned[giver] -= amount
        owned[taker] += amount
    for account, balance in snapshot.balances:
        due = OPENING + owned[account]
        assert balance == due, f"account {account} has {balance} instead of {due}"
