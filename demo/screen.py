"""What the demonstration shows: a live screen on a terminal, plain lines anywhere else."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.observer import Pour
from demo.progress import Progress
from wastelock.record import PourResult

_SHOWN_POURS = 12
_LINE_EVERY_S = 1.0
_OUTCOMES = {PourResult.COMPLETE: "", PourResult.GIVEN_UP: "given up", PourResult.JAMMED: "jammed"}


class Screen(ABC):
    """Told how things stand several times a second; decides itself what of it to show."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say once what happens now."""

    @abstractmethod
    def show(self, progress: Progress, target: int, pours: Sequence[Pour], committed_pours: int) -> None:
        """Show the counts, `target` records to be committed (0: live), the last pours of `committed_pours` in all."""

    def close(self) -> None:
        """Leave the terminal as it was."""
        return None


class LiveScreen(Screen):
    """One screenful that is drawn again and again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._heading = ""

    def say(self, text: str) -> None:
        if self._live.is_started:
            self._heading = text
        else:
            self._console.print(Text(text))

    def show(self, progress: Progress, target: int, pours: Sequence[Pour], committed_pours: int) -> None:
        self._live.update(
            Group(Text(self._heading, style="bold"), *self._body(progress, target, pours, committed_pours))
        )
        if not self._live.is_started:
            self._live.start()

    def close(self) -> None:
        if self._live.is_started:
            self._live.stop()

    def _body(
        self, progress: Progress, target: int, pours: Sequence[Pour], committed_pours: int
    ) -> list[Panel]:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=max(1, target or progress.made), completed=progress.committed, width=48),
            f"{progress.committed:,} of {progress.made:,} records in the ledger",
            f"{progress.records_per_s:,.0f} records/s",
        )
        return [
            Panel(Group(bar, _locks_table(progress)), title="where the records are"),
            Panel(
                _pours_table(pours[-_SHOWN_POURS:]),
                title=f"pours in the ledger: {committed_pours:,}, the latest",
            ),
        ]


class PlainScreen(Screen):
    """A line now and then, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_at = 0.0
        self._pours_told: int | None = None

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def show(self, progress: Progress, target: int, pours: Sequence[Pour], committed_pours: int) -> None:
        if target:
            self._tell_counts(progress, target)
            self._pours_told = committed_pours
            return
        told = self._pours_told or 0
        new = min(committed_pours - told, len(pours), _SHOWN_POURS)
        for pour in pours[len(pours) - new :] if new > 0 else ():
            self.say(custody_of(pour))
        self._pours_told = committed_pours

    def _tell_counts(self, progress: Progress, target: int) -> None:
        if time.monotonic() < self._next_at and progress.committed < target:
            return
        self._next_at = time.monotonic() + _LINE_EVERY_S
        self.say(
            f"  in the rings {progress.ring:,}  in the spool {progress.spool:,}  committed {progress.committed:,}"
            f" of {target:,}  ({progress.records_per_s:,.0f} records/s)"
        )


def open_screen(stream: TextIO | None = None) -> Screen:
    """Return a live screen where the stream (standard output unless given) is a terminal, else a plain one."""
    stream = stream or sys.stdout
    return LiveScreen(Console(file=stream)) if stream.isatty() else PlainScreen(stream)


def custody_of(pour: Pour) -> str:
    """Return a pour's way as one line: when it began, and how long after being read it was safe where."""
    began = f"{pour.began_at:%H:%M:%S}" if pour.began_at else "time unknown"
    outcome = (
        _OUTCOMES.get(PourResult(pour.result), "")
        if pour.result in set(PourResult)
        else f"result {pour.result}"
    )
    what = f"chamber {pour.chamber} {pour.volume_ml / 1000:4.1f} l {outcome}".rstrip()
    return (
        f"  {began}  lock {pour.lock}  {what}  household {pour.credential or 'nobody'}:"
        f" ring → {_since(pour, 'sealed')} spool (page {pour.page}) → {_since(pour, 'committed')} ledger"
    )


def _since(pour: Pour, step: str) -> str:
    at = pour.sealed_at if step == "sealed" else pour.committed_at
    return "…" if at is None else f"+{max(0.0, (at - pour.read_at).total_seconds()):.2f} s"


def _locks_table(progress: Progress) -> Table:
    table = Table(expand=True)
    table.add_column("lock")
    table.add_column("bus, unit")
    for heading in ("records made", "in the ring only", "in the spool", "committed"):
        table.add_column(heading, justify="right")
    for lock in progress.locks:
        counts = (f"{n:,}" for n in (lock.made, lock.ring, lock.spool, lock.committed))
        table.add_row(lock.lock, f"{lock.bus}, {lock.unit}", *counts)
    totals = (f"{n:,}" for n in (progress.made, progress.ring, progress.spool, progress.committed))
    table.add_row("all", "", *totals, style="bold")
    return table


def _pours_table(pours: Sequence[Pour]) -> Table:
    table = Table(expand=True)
    for heading in (
        "began",
        "lock",
        "chamber",
        "volume",
        "household",
        "read from ring",
        "in spool",
        "in ledger",
    ):
        table.add_column(heading)
    for pour in reversed(pours):
        table.add_row(
            f"{pour.began_at:%d %b %H:%M:%S}" if pour.began_at else "unknown",
            pour.lock,
            str(pour.chamber),
            f"{pour.volume_ml / 1000:.0f} l",
            pour.credential,
            f"{pour.read_at:%H:%M:%S.%f}"[:-5],
            f"{_since(pour, 'sealed')}, page {pour.page}",
            _since(pour, "committed"),
        )
    return table
