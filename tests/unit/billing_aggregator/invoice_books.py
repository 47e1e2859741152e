"""Books of invoices in fresh databases, for tests; run as a program, one that issues from a process of its own.

python -m tests.unit.billing_aggregator.invoice_books URL NAME…         issue these drafts, one after another
python -m tests.unit.billing_aggregator.invoice_books --hang URL NAME   … and stop in the middle of issuing
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from billing_aggregator.database import Database
from billing_aggregator.invoice.book import InvoiceBook
from billing_aggregator.invoice.cii import Specification
from billing_aggregator.invoice.rules import Rulebook
from billing_aggregator.invoice.settings import OperatorSection

ISSUED_AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)
HANGING = "number taken, not committed"
_HANG_S = 60


class HangingRules(Rulebook):
    """Official rules that never come to an end, in the midst of the transaction."""

    def refuse_faulty(self, xml: bytes, specification: Specification) -> None:
        print(HANGING, flush=True)
        time.sleep(_HANG_S)


def open_book(
    database: Database,
    rules: Callable[[], Rulebook] = Rulebook,
    clock: Callable[[], datetime] = lambda: ISSUED_AT,
    operator: OperatorSection | None = None,
) -> InvoiceBook:
    """Return a book whose day of issue is 3 November 2026."""
    return InvoiceBook(database, operator or OperatorSection(), clock, rules)


def main(arguments: list[str]) -> None:
    """Issue what the command line names."""
    hang = arguments[0] == "--hang"
    url, *names = arguments[1:] if hang else arguments
    database = Database(url)
    book = open_book(database, HangingRules if hang else Rulebook)
    for name in names:
        print(book.issue(name, "clerk").invoice.number, flush=True)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1:])
