"""What the demonstration shows: a live screen on a terminal, plain lines anywhere else."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
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
_LINE_EVERY_S = 2.0
_PLAIN_WIDTH = 110
_OUTCOMES = {PourResult.COMPLETE: "", PourResult.GIVEN_UP: "given up", PourResult.JAMMED: "jammed"}


class Screen(ABC):
    """Told how things stand several times a second; decides itself what of it to show."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say once what happens now."""

    @abstractmethod
    def show(
        self, progress: Progress, lived: float | None, pours: Sequence[Pour], committed_pours: int
    ) -> None:
        """Show the counts and the last pours of `committed_pours` in all. `lived`: share of the past (None: live)."""

    @property
    @abstractmethod
    def console(self) -> Console:
        """Where tables are printed while nothing is shown."""

    def rest(self) -> None:
        """Take away what is drawn again and again: lines and tables follow."""
        return None

    def close(self) -> None:
        """Leave the terminal as it was."""
        return None


class LiveScreen(Screen):
    """One screenful that is drawn again and again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = self._new_live()
        self._heading = ""

    def say(self, text: str) -> None:
        if self._live.is_started:
            self._heading = text
        else:
            self._console.print(Text(text))

    @property
    def console(self) -> Console:
        return self._console

    def show(
        self, progress: Progress, lived: float | None, pours: Sequence[Pour], committed_pours: int
    ) -> None:
        self._live.update(
            Group(Text(self._heading, style="bold"), *self._body(progress, lived, pours, committed_pours))
        )
        if not self._live.is_started:
            self._live.start()

    def rest(self) -> None:
        self._live.transient = True
        self.close()
        self._live = self._new_live()  # one that is started again draws over what was printed meanwhile
        self._heading = ""

    def _new_live(self) -> Live:
        return Live(console=self._console, refresh_per_second=8, transient=False)

    def close(self) -> None:
        if self._live.is_started:
            self._live.stop()

    def _body(
        self, progress: Progress, lived: float | None, pours: Sequence[Pour], committed_pours: int
    ) -> list[Panel]:
        bar = Table.grid(padding=(0, 2))
        done = progress.committed / max(1, progress.made) if lived is None else lived
        bar.add_row(
            ProgressBar(total=1.0, completed=done, width=36),
            "" if lived is None else f"{_day(progress.lived_until_s)}",
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

    @property
    def console(self) -> Console:
        return Console(file=self._stream, width=_PLAIN_WIDTH)

    def show(
        self, progress: Progress, lived: float | None, pours: Sequence[Pour], committed_pours: int
    ) -> None:
        if lived is not None:
            self._tell_counts(progress, lived)
            self._pours_told = committed_pours
            return
        told = self._pours_told or 0
        new = min(committed_pours - told, len(pours), _SHOWN_POURS)
        for pour in pours[len(pours) - new :] if new > 0 else ():
            self.say(custody_of(pour))
        self._pours_told = committed_pours

    def _tell_counts(self, progress: Progress, lived: float) -> None:
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _LINE_EVERY_S
        self.say(
            f"  {_day(progress.lived_until_s)} ({lived:4.0%})  in the rings {progress.ring:,}"
            f"  in the spool {progress.spool:,}  committed {progress.committed:,}  ({progress.records_per_s:,.0f}/s)"
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


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %Y}"


def _since(pour: Pour, step: str) -> str:
    at = pour.sealed_at if step == "sealed" else pour.committed_at
    return "…" if at is None else f"+{max(0.0, (at - pour.read_at).total_seconds()):.2f} s"


def _locks_table(progress: Progress) -> Table:
    table = Table(expand=True)
    table.add_column("lock")
    table.add_column("bus, unit")
    table.add_column("lives on")
    for heading in ("records made", "in the ring only", "in the spool", "committed"):
        table.add_column(heading, justify="right")
    for lock in progress.locks:
        counts = (f"{n:,}" for n in (lock.made, lock.ring, lock.spool, lock.committed))
        today = _day(lock.lived_until_s) if lock.backlog else "today"
        table.add_row(lock.lock, f"{lock.bus}, {lock.unit}", today, *counts)
    totals = (f"{n:,}" for n in (progress.made, progress.ring, progress.spool, progress.committed))
    table.add_row("all", "", "", *totals, style="bold")
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
            f"{_since(pour, 'sealed')}, p. {pour.page}",
            _since(pour, "committed"),
        )
    return table
