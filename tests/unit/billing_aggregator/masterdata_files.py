"""The worked example's master data as files that a test may change, and books to import them into.

python -m tests.unit.billing_aggregator.masterdata_files URL DIRECTORY           imports in a process of its own
python -m tests.unit.billing_aggregator.masterdata_files URL DIRECTORY --hang    writes, and stops before the commit
"""

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from billing_aggregator.database import Database, migrate
from billing_aggregator.errors import InputRejected
from billing_aggregator.masterdata import importing
from billing_aggregator.masterdata.store import MasterData, NewFact

EXAMPLE = Path(__file__).parents[3] / "config" / "masterdata-example"
NAME = "musterhof"
IMPORTED_AT = datetime(2024, 11, 20, 9, 0, tzinfo=UTC)  # before the example's period and its agreement begin
WRITTEN = "written, not committed"
_HANG_S = 60


class Files:
    """A copy of the worked example."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(EXAMPLE, directory)

    def path(self, table: str) -> Path:
        return self.directory / f"{table}.csv"

    def replace(self, table: str, old: str, new: str) -> int:
        """Replace a text that is there once, and return its line."""
        text = self.path(table).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {table}"
        self.path(table).write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    def append(self, table: str, row: str) -> int:
        """Add a row and return its line."""
        text = self.path(table).read_text(encoding="utf-8")
        self.path(table).write_text(text + row + "\n", encoding="utf-8")
        return text.count("\n") + 1

    def drop(self, table: str, beginning: str) -> int:
        """Remove the row that begins so, and return its line."""
        lines = self.path(table).read_text(encoding="utf-8").splitlines()
        [place] = [place for place, line in enumerate(lines) if line.startswith(beginning)]
        self.path(table).write_text("\n".join([*lines[:place], *lines[place + 1 :], ""]), encoding="utf-8")
        return place + 1

    def only(self, *tables: str) -> None:
        """Remove the files of all other tables."""
        for path in self.directory.glob("*.csv"):
            if path.stem not in tables:
                path.unlink()


def open_masterdata(url: str, clock: Callable[[], datetime] = lambda: IMPORTED_AT) -> MasterData:
    """Return empty master data in the database of this URL."""
    database = Database(url)
    migrate(database)
    return MasterData(database, clock)


def import_all(masterdata: MasterData, files: Files, reason: str = "") -> importing.Report:
    return importing.import_files(masterdata, [files.directory], "clerk", reason)


def problems_of(masterdata: MasterData, files: Files, reason: str = "") -> list[str]:
    """Return what is said when these files are rejected; [] if they are taken."""
    try:
        import_all(masterdata, files, reason)
    except InputRejected as rejected:
        return [str(problem) for problem in rejected.problems]
    return []


def main(arguments: list[str]) -> None:
    """Import what the command line names, and print what was added; or write a fact and stop before the commit."""
    url, directory, *hang = arguments
    masterdata = MasterData(Database(url), lambda: IMPORTED_AT)
    if not hang:
        report = importing.import_files(masterdata, [Path(directory)], "clerk")
        print(sum(counts["added"] for counts in report.counts().values()))
        return
    with masterdata.changing() as change:
        change.write([NewFact(NAME, "dwelling", "WE9", "{}", None, "")], [], "clerk", "")
        print(WRITTEN, flush=True)
        time.sleep(_HANG_S)


if __name__ == "__main__":
    main(sys.argv[1:])
