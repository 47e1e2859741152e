"""Loop: writes what gateways report into the ledger, every few seconds: the latest of each, and what is kept of it.

All in small transactions, since pages wait for the same lock; and what grew too old is given up in steps.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from cloud_sink.config import ObservationsSection
from cloud_sink.keys import KeyRing
from cloud_sink.ledger import keeping, latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import ReportKind
from cloud_sink.patience import Patience
from cloud_sink.reports import Inbox, Report, parse_report

_WRITE_REPORTS = 200
_PAUSE_S = 0.01
_GIVE_UP_ROWS = 1000
_GIVE_UP_EVERY = timedelta(minutes=10)


class Reporting:
    """The reporting thread's loop."""

    def __init__(
        self,
        inbox: Inbox,
        database: Database,
        keys: Callable[[], KeyRing],
        interval_s: float,
        thinning: ObservationsSection,
        shared: bool,
        clock: Callable[[], datetime],
        patience: Patience,
    ) -> None:
        """`shared`: other sinks write into this ledger, too."""
        self._inbox = inbox
        self._database = database
        self._keys = keys
        self._interval_s = interval_s
        self._thinning = thinning
        self._shared = shared
        self._clock = clock
        self._patience = patience
        self._give_up_at = clock()

    def run(self, stop: threading.Event) -> None:
        """Write what came, and give up what is too old, until asked to stop."""
        while not stop.is_set():
            self._save(stop)
            self._patience.until_done(self._give_up, stop)
            stop.wait(self._interval_s)

    def _save(self, stop: threading.Event) -> None:
        keys = self._keys()
        parsed = [parse_report(arrived, keys) for arrived in self._inbox.fetch()]
        reports = [report for report in parsed if report is not None]
        for start in range(0, len(reports), _WRITE_REPORTS):
            some = reports[start : start + _WRITE_REPORTS]
            self._patience.until_done(partial(self._write, some), stop)
            # Pages go first: who waits for the write lock gets it in between.
            stop.wait(_PAUSE_S)

    def _write(self, reports: Sequence[Report]) -> None:
        now_ms = to_ms(self._clock())
        with self._database.writing() as connection:
            latest_reports.save(connection, reports, now_ms)
            keeping.keep(connection, reports, now_ms, self._thinning, self._shared)

    def _give_up(self) -> None:
        """Give up one step of what is too old; the next one follows at once as long as there is more."""
        now = self._clock()
        if now < self._give_up_at:
            return
        ages = dict.fromkeys(ReportKind, self._thinning.keep_days)
        ages[ReportKind.TELEMETRY] = self._thinning.telemetry_keep_days
        before_ms = {kind: to_ms(now - timedelta(days=days)) for kind, days in ages.items()}
        with self._database.writing() as connection:
            given_up = keeping.give_up(connection, before_ms, _GIVE_UP_ROWS)
        if given_up < _GIVE_UP_ROWS:
            self._give_up_at = now + _GIVE_UP_EVERY
