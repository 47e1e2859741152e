"""Spool, uplink and forwarder of one gateway, each in its thread, without anything that faces locks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from edge_agent.alarms import Alarms
from edge_agent.config import MqttSettings
from edge_agent.errors import SpoolCorrupt
from edge_agent.forwarder import Forwarder
from edge_agent.spool import Spool
from edge_agent.spool_pages import Sealer
from edge_agent.uplink import Session, Uplink
from tests.unit.edge_agent.gateway import KEY, TOPICS, Clock, make_spool, opened, visit


class Gateway:
    """`failures` is what ended a thread; `running` raises the first of them unless the test took it."""

    def __init__(
        self, path: Path, broker_port: int, clock: Clock | None = None, *, keep_days: float = 14
    ) -> None:
        self.path = path
        self.wake = threading.Event()
        self.alarms = Alarms()
        self.failures: list[BaseException] = []
        self.spool: Spool = make_spool(path, clock, keep_days=keep_days, on_sealed=self.wake.set)
        settings = MqttSettings(host="127.0.0.1", port=broker_port)
        session = Session(TOPICS.gateway, TOPICS, b"will", lambda: b"farewell")
        self.uplink = Uplink(settings, session, Random(1), self.wake)
        self.forwarder = Forwarder(
            self.spool, self.uplink, Sealer(TOPICS, KEY), self.alarms, Random(2), self.wake
        )

    def seal(self, first: int, last: int, count: int = 1) -> None:
        """Seal pages of `count` records each: first..last are the pages' numbers, had there been none before."""
        for number in range(first, last + 1):
            self.spool.seal(visit(seq=(number - 1) * count + 1, count=count))

    @contextmanager
    def running(self) -> Iterator["Gateway"]:
        stop = threading.Event()
        with opened(self.spool):
            threads = [
                threading.Thread(target=self._guard, args=(part.run, stop))
                for part in (self.uplink, self.forwarder)
            ]
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                stop.set()
                self.wake.set()
                for thread in threads:
                    thread.join(10)
                    assert not thread.is_alive()
        if self.failures and isinstance(self.failures[0], SpoolCorrupt):
            self.spool.report_damage(str(self.failures[0]))  # as the agent does
        if self.failures:
            raise self.failures[0]

    def _guard(self, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        try:
            run(stop)
        except BaseException as error:  # noqa: BLE001 - a thread of a test: told to the test
            self.failures.append(error)
