"""Loop: writes what gateways report of themselves into the ledger, every few seconds, the latest only."""

import threading
from collections.abc import Callable
from datetime import datetime

from cloud_sink.keys import KeyRing
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import to_ms
from cloud_sink.patience import Patience
from cloud_sink.reports import Inbox, parse_report


class Reporting:
    """The reporting thread's loop."""

    def __init__(
        self,
        inbox: Inbox,
        database: Database,
        keys: Callable[[], KeyRing],
        interval_s: float,
        clock: Callable[[], datetime],
        patience: Patience,
    ) -> None:
        self._inbox = inbox
        self._database = database
        self._keys = keys
        self._interval_s = interval_s
        self._clock = clock
        self._patience = patience

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._save(stop)
            stop.wait(self._interval_s)

    def _save(self, stop: threading.Event) -> None:
        keys = self._keys()
        parsed = [parse_report(topic, payload, keys) for topic, payload in self._inbox.fetch().items()]
        reports = [report for report in parsed if report is not None]
        if reports:
            now_ms = to_ms(self._clock())
            self._patience.until_done(lambda: latest_reports.save(self._database, reports, now_ms), stop)
