"""Controllers in processes of their own, a broker, and one real agent, all on loopback and in one directory.

with Rig(directory, estate, Settings(), simulators=4, backlog_days=3) as rig:
    rig.start_agent()
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.workplace import BenchFailed
from demo.control import Control
from demo.estate import Estate
from demo.layout import Layout, Settings
from demo.ports import free_port
from demo.process import Child, ProcessFailed, broker_program, program
from edge_agent.errors import SpoolCorrupt, SpoolUnavailable
from edge_agent.spool_reader import SpoolReader
from tests.support.ports import is_listening

_READY_S = 180.0
_POLL_S = 0.02
# Residents all but stand still: what is measured is the backlog.
STANDSTILL = 0.001


class Rig:
    """As a context manager it starts controllers and broker, and ends all by pid whatever happens."""

    def __init__(
        self,
        directory: Path,
        estate: Estate,
        settings: Settings,
        simulators: int = 1,
        backlog_days: float = 0.0,
        speed: float = STANDSTILL,
    ) -> None:
        """`simulators`: how many processes the buses are dealt out to (only TCP buses can be, if more than one).

        `backlog_days`, `speed`: how long residents have lived before, and how fast they live from then on.
        """
        self.estate = estate
        self.layout = Layout(directory, estate, free_port)
        self._settings = settings
        parts = [self.layout] if simulators == 1 else self._parts(simulators)
        options = ["--speed", f"{speed:g}", "--backlog-days", f"{backlog_days:g}"]
        self._layouts = parts
        self.simulators = [
            Child(
                f"firmware-sim-{number}",
                [*program("firmware-sim"), "run", "--config", str(part.simulator_config), "--state",
                 str(part.controllers), "--control", str(part.directory / "control"), *options],
                self.layout.logs,
            )
            for number, part in enumerate(parts, 1)
        ]  # fmt: skip
        self.broker = Child(
            "mosquitto", [broker_program(), "-c", str(self.layout.broker_config)], self.layout.logs
        )
        agent = [*program("edge-agent"), "run", "--config", str(self.layout.agent_config)]
        self.agent = Child("edge-agent", agent, self.layout.logs)
        self._reader: SpoolReader | None = None

    def _parts(self, simulators: int) -> list[Layout]:
        """Deal the buses out to several simulators, each with a directory of its own."""
        parts = []
        for number in range(simulators):
            buses = self.estate.buses[number::simulators]
            names = {bus.name for bus in buses}
            locks = tuple(lock for lock in self.estate.locks if lock.bus in names)
            part = replace(self.estate, buses=buses, locks=locks)
            layout = Layout(self.layout.directory / f"controllers-{number + 1}", part, free_port)
            self.layout.tcp_ports.update(layout.tcp_ports)
            parts.append(layout)
        return parts

    @property
    def controls(self) -> list[Control]:
        """The control socket of each simulator."""
        return [Control(layout.directory / "control") for layout in self._layouts]

    def start_agent(self) -> None:
        self.agent.start()

    def sealed_and_confirmed(self) -> dict[str, tuple[int, int]]:
        """Return for each lock the last record on disk and the last one confirmed, as the spool tells; {} before."""
        try:
            if self._reader is None and self.layout.spool.exists():
                self._reader = SpoolReader(self.layout.spool)
            cursors = self._reader.cursors() if self._reader is not None else {}
        except (SpoolUnavailable, SpoolCorrupt):  # an agent is just making it
            self._forget_reader()
            return {}
        return {lock: (seq, confirmed or 0) for lock, (_, seq, confirmed) in cursors.items()}

    def _forget_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def wait(self, done: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until `done()`; raise ProcessFailed as soon as one of the processes ends, or after the timeout."""
        end_s = time.monotonic() + timeout_s
        while not done():
            for child in (self.agent, self.broker, *self.simulators):
                child.check()
            if time.monotonic() > end_s:
                raise BenchFailed(f"{what}: not within {timeout_s:g} s\n{self.agent.log_tail()}")
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        self.layout.write(self._settings)
        for layout in self._layouts:
            layout.write(self._settings)
        try:
            for simulator in self.simulators:
                simulator.start()
            self.broker.start()
            self.broker.wait_until(lambda: is_listening(self.layout.broker_port), "listening", _READY_S)
            for simulator in self.simulators:
                if not json.loads(simulator.first_line(_READY_S)).get("ready"):
                    raise BenchFailed(f"{simulator.name} isn't ready:\n{simulator.log_tail()}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._forget_reader()
        for child in (self.agent, self.broker, *self.simulators):
            if child.running:
                try:
                    child.stop()
                except ProcessFailed as failure:
                    # It was killed instead: what it measured stands, and nothing is left running.
                    print(failure, file=sys.stderr)
