"""The whole chain as real processes: simulator, broker, edge-agent, cloud-sink. For demonstration and acceptance tests.

    with Chain(Layout(directory, estate, free_port), Settings()) as chain:
        chain.wait_equal(timeout_s=30)

Nothing in here helps the programs: a child that dies stays dead until somebody starts it again, as systemd would.
"""

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.compare import Comparison, Line, compare, event_of, read_lines
from demo.control import Control, SimulatorGone
from demo.layout import HOST, Layout, Settings
from demo.process import Child, ProcessFailed, broker_program, program, run_program

_READY_S = 15.0
_POLL_S = 0.1


class NotEqual(AssertionError):
    """Ledger and truth weren't equal in time; the message lists the differences."""


def ask(name: str, command: str, config: Path, *options: str) -> bytes:
    """Return what a command of one of our programs prints; ProcessFailed if it doesn't end well."""
    return run_program([*program(name), command, "--config", str(config), *options])


def export_ledger(sink_config: Path) -> bytes:
    """Return the ledger's entries as `cloud-sink export` prints them."""
    return ask("cloud-sink", "export", sink_config)


class Chain:
    """Four children and what to ask them. As a context manager it starts all, and ends all whatever happens."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        seed: int = 1,
        backlog_days: float = 0,
        speed: float = 1.0,
        keep_pace: bool = False,
        export: Callable[[Path], bytes] = export_ledger,
        leave_out: Collection[str] = (),
        calendar_at: datetime | None = None,
    ) -> None:
        """`export` returns the ledger's entries as JSON lines, given the sink's configuration file.

        `keep_pace`: the backlog is lived while the gateway drains it, not before it gets to see the controllers.
        `leave_out`: programs that `start` doesn't start; whoever wants them does it later. `calendar_at`: what the
        residents' calendar shows now, so that their days are the same ones whenever this runs; None: today.
        """
        self.layout = layout
        self.settings = settings
        self.backlog_days = backlog_days
        self._export = export
        self._leave_out = frozenset(leave_out)
        # A socket's path must be short (108 bytes), and nobody knows how deep `layout.directory` lies.
        self._sockets = Path(tempfile.mkdtemp(prefix="wastelock-"))
        self.control = Control(self._sockets / "control")
        simulate = [
            *program("firmware-sim"), "run", "--config", str(layout.simulator_config),
            "--state", str(layout.controllers), "--truth", str(layout.truth), "--seed", str(seed),
            "--speed", f"{speed:g}", "--control", str(self._sockets / "control"),
        ]  # fmt: skip
        if calendar_at is not None:
            simulate += ["--calendar-ahead-s", f"{calendar_at.timestamp() - time.time():.3f}"]
        self._backlog = ["--backlog-days", f"{backlog_days:.6f}"] if backlog_days else []
        if keep_pace:
            self._backlog.append("--keep-pace")
        logs = layout.logs
        self.simulator = Child("firmware-sim", simulate, logs)
        self.broker = Child("mosquitto", [broker_program(), "-c", str(layout.broker_config)], logs)
        self.agent = Child(
            "edge-agent", [*program("edge-agent"), "run", "--config", str(layout.agent_config)], logs
        )
        self.sink = Child(
            "cloud-sink", [*program("cloud-sink"), "run", "--config", str(layout.sink_config)], logs
        )

    @property
    def children(self) -> tuple[Child, ...]:
        """In the order in which they are ended: whoever hands over first, whoever takes last."""
        return (self.agent, self.sink, self.broker, self.simulator)

    def start(self) -> None:
        """Lay out the directory and start everything, ready or not: the programs have to find each other."""
        self.layout.write(self.settings)
        self.start_broker()
        self.start_simulator(self._backlog)
        for child in (self.sink, self.agent):
            if child.name not in self._leave_out:
                child.start()

    def start_broker(self) -> None:
        """Start mosquitto and return when it accepts connections."""
        self.broker.start()
        self.broker.wait_until(lambda: _listens(self.layout.broker_port), "listening", _READY_S)

    def start_simulator(self, extra: list[str] | None = None, timeout_s: float = 120.0) -> dict[str, Any]:
        """Start the controllers and return what their ready line says. `extra`: options for this start only."""
        lasting = self.simulator.command
        self.simulator.command = [*lasting, *(extra or [])]
        try:
            self.simulator.start()
        finally:
            self.simulator.command = lasting
        ready: dict[str, Any] = json.loads(self.simulator.first_line(timeout_s))
        return ready

    def stop(self) -> dict[str, int]:
        """End all that runs, in order, and return the exit codes; raises ProcessFailed after all have ended."""
        codes, failures = {}, []
        for child in self.children:
            if child.running:
                try:
                    codes[child.name] = child.stop()
                except ProcessFailed as failure:
                    failures.append(str(failure))
        shutil.rmtree(self._sockets, ignore_errors=True)
        if failures:
            raise ProcessFailed("\n".join(failures))
        return codes

    def check(self) -> None:
        """Raise ProcessFailed if one of the programs ended by itself."""
        for child in self.children:
            child.check()

    def truth(self) -> list[Line]:
        """Return what the controllers recorded, up to now."""
        return read_lines(self.layout.truth)

    def ledger(self) -> list[Line]:
        """Return all entries of the ledger."""
        return [json.loads(line) for line in self._export(self.layout.sink_config).splitlines()]

    def ask_sink(self, command: str, *options: str) -> str:
        """Return what a command of cloud-sink prints, such as `gaps --json`."""
        return ask("cloud-sink", command, self.layout.sink_config, *options).decode()

    def ask_agent(self, command: str, *options: str) -> str:
        """Return what a command of edge-agent prints, such as `status --json`."""
        return ask("edge-agent", command, self.layout.agent_config, *options).decode()

    def rings(self) -> dict[str, dict[str, Any]]:
        """Return the controllers' own view by lock: epoch, newest and confirmed sequence number, registers …"""
        return {str(ring["lock"]): ring for ring in self.control.do("status")["locks"]}

    def unconfirmed(self) -> int:
        """Return how many records lie in the controllers' rings alone, for all that the controllers know."""
        return sum(ring["newest"] - ring["confirmed"] for ring in self.rings().values())

    def has_caught_up(self) -> bool:
        """True if the controllers have lived their backlog."""
        return all(ring["backlog_done"] for ring in self.rings().values())

    def is_at_rest(self) -> bool:
        """True if the controllers have power and are told that all their records are safe.

        One without power answers for what it recorded before, but makes records of its power-up as soon as it can.
        """
        rings = self.rings().values()
        return all(ring["powered"] and ring["newest"] == ring["confirmed"] for ring in rings)

    def compare_now(self) -> Comparison:
        """Compare all that was recorded before this call with the ledger; what is recorded meanwhile is left out."""
        before = self.truth()
        entries = self.ledger()
        since = {event_of(line) for line in self.truth()} - {event_of(line) for line in before}
        known = [line for line in entries if event_of(line) not in since]
        return compare(before, known, self.layout.pseudonym_key)

    def wait_drained(self, timeout_s: float) -> None:
        """Wait until the controllers have had all their records confirmed; NotEqual after the timeout."""
        end = time.monotonic() + timeout_s
        while (left := self._left_in_rings()) != 0:
            self.check()
            if time.monotonic() > end:
                raise NotEqual(
                    f"{left} records are still unconfirmed in the rings after {timeout_s:g} s\n{self.story()}"
                )
            time.sleep(_POLL_S)

    def wait_equal(self, timeout_s: float) -> Comparison:
        """Wait until the ledger holds exactly what was recorded; NotEqual with the differences after the timeout."""
        end = time.monotonic() + timeout_s
        self.wait_drained(timeout_s)
        while not (comparison := self.compare_now()).equal:
            self.check()
            if time.monotonic() > end:
                differences = "\n".join(comparison.differences())
                raise NotEqual(
                    f"ledger and truth differ after {timeout_s:g} s:\n{differences}\n{self.story()}"
                )
            time.sleep(_POLL_S)
        return comparison

    def story(self) -> str:
        """Return the end of each program's log, for whoever has to find out what happened."""
        return "\n".join(
            f"--- {child.name}, end of {child.log}:\n{child.log_tail()}" for child in self.children
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except KeyboardInterrupt:
            self.stop()
            raise
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.stop()
        else:
            self._end_all()

    def _left_in_rings(self) -> int | None:
        try:
            return self.unconfirmed()
        except SimulatorGone:
            return None

    def _end_all(self) -> None:
        for child in self.children:
            if child.running:
                child.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False
