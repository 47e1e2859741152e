"""The two deadlines of § 556 (3) BGB for a run: the statements' way to the parties, and the parties' objections.

Sentences 2 and 3: what isn't received by the end of the 12th month after the period can't be claimed any more.
Sentence 5: objections are possible until the end of the 12th month after receipt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing_aggregator.model import DayRange
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument
from billing_aggregator.runs.states import RunEvent, RunState
from billing_aggregator.runs.store import RunRecord

_BEFORE_DELIVERY = frozenset(
    {RunState.OPEN, RunState.COLLECTING, RunState.DRAFT, RunState.IN_REVIEW, RunState.FINALIZED}
)
