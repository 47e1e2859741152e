"""Takes files of master data: all of them together, whole or not at all; the same files again change nothing.

    files ─▶ cells ─▶ rows ─▶ differences to what is known ─▶ rules on the state after all of them ─▶ one transaction

A row with a new key is added. One whose key is known with other values is a change: the old fact is taken back, with a
reason, and the new one added. A row with the action `reverse` takes back what has its key.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from billing_aggregator.errors import InputRejected, Problem
from billing_aggregator.masterdata.cells import hide_transponders
from billing_aggregator.masterdata.differences import ChangeKind, Difference, compare
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.judging import judge
from billing_aggregator.masterdata.parsing import ParsedRow, parse_sheets
from billing_aggregator.masterdata.schema import TABLE_OF, TABLES
from billing_aggregator.masterdata.sheets import FileContents, read_file
from billing_aggregator.masterdata.store import Change, ImportedFile, MasterData, NewFact

MOST_PROBLEMS = 200
_FILES = (".csv", ".xlsx")
# What may hold a table, too, and can't be read: in a directory they are refused, lest they be left out in silence.
_OTHER_SHEETS = (".xls", ".xlsm", ".xlsb", ".ods", ".tsv")
_NOT_MEANT = ("~$", ".")  # what Excel and others lay beside a file while it is open


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did, or would do (`import_no` None). `unchanged`: rows that were known as they are."""

    import_no: int | None
    differences: tuple[Difference, ...]
    unchanged: Mapping[str, int]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return, by table in their order, how many rows are added, changed, reversed and unchanged."""
        counts: dict[str, dict[str, int]] = {}
        names = (*(kind.value for kind in ChangeKind), "unchanged")
        for difference in self.differences:
            counts.setdefault(difference.table, dict.fromkeys(names, 0))[difference.kind.value] += 1
        for table, number in self.unchanged.items():
            counts.setdefault(table, dict.fromkeys(names, 0))["unchanged"] += number
        return {table: counts[table] for table in TABLES if table in counts}


def import_files(
    masterdata: MasterData, paths: Iterable[Path], actor: str, reason: str = "", dry_run: bool = False
) -> Report:
    """Take these files (of directories: their .csv and .xlsx files). InputRejected names every problem they have.

    `reason`: why, for the rows that have none of their own; changes and reversals need one. `dry_run`: only look.
    """
    contents = [read_file(path) for path in _list_files(paths)]
    with masterdata.trying() if dry_run else masterdata.changing() as change:
        rows, problems = _parse(change, contents)
        differences, unchanged = _weigh(change, rows, reason, problems)
        if dry_run or not differences:
            return Report(None, tuple(differences), unchanged)
        files = [ImportedFile(content.name, content.sha256) for content in contents]
        import_no = change.write(_new_facts(differences), files, actor, reason)
    return Report(import_no, tuple(differences), unchanged)


def load_facts(masterdata: MasterData, facts: Iterable[Fact], actor: str, reason: str = "") -> Report:
    """Take facts that a program has made, by the same rules as files: whole or not at all."""
    with masterdata.changing() as change:
        return enter_facts(change, facts, (), actor, reason)


def enter_facts(
    change: Change, facts: Iterable[Fact], taken_back: Iterable[Fact], actor: str, reason: str
) -> Report:
    """Take facts, and take others back, within a change that has been begun: by the same rules as files."""
    rows = []
    for fact, stays in (*((each, True) for each in facts), *((each, False) for each in taken_back)):
        table = TABLE_OF[type(fact)]
        rows.append(ParsedRow(table, fact.property, table.key_of(fact), fact if stays else None, "", None))
    differences, unchanged = _weigh(change, rows, reason, [])
    if not differences:
        return Report(None, (), unchanged)
    return Report(change.write(_new_facts(differences), [], actor, reason), tuple(differences), unchanged)


def _list_files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                each
                for each in path.iterdir()
                if each.suffix.lower() in _FILES + _OTHER_SHEETS and not each.name.startswith(_NOT_MEANT)
            )
            if not inside:
                raise InputRejected(
                    [Problem(str(path), None, None, "there are no .csv or .xlsx files in it")]
                )
            found += inside
        else:
            found.append(path)
    return found


def _parse(change: Change, contents: Sequence[FileContents]) -> tuple[list[ParsedRow], list[Problem]]:
    sheets = [sheet for content in contents for sheet in content.sheets]
    named = sorted(
        {
            str(row.cells[sheet.columns.index("property")]).strip()
            for sheet in sheets
            if "property" in sheet.columns
            for row in sheet.rows
        }
    )
    rows, problems = parse_sheets(sheets, change.zones(named))
    return rows, [problem for content in contents for problem in content.problems] + problems


def _weigh(
    change: Change, rows: Sequence[ParsedRow], reason: str, problems: list[Problem]
) -> tuple[list[Difference], dict[str, int]]:
    """Return the differences, or raise InputRejected with all problems. Rows that can't be read hide what is missing,
    so with them only what the others say of themselves is judged."""
    complete = not problems
    by_property: dict[str, list[ParsedRow]] = defaultdict(list)
    for row in rows:
        by_property[row.property].append(row)
    states = change.states(sorted(by_property))
    differences: list[Difference] = []
    unchanged: dict[str, int] = defaultdict(int)
    for name in sorted(by_property):
        found = compare(change, states.get(name, {}), by_property[name], reason, problems, unchanged)
        differences += found
    problems += judge(change, states, by_property, differences, complete)
    if problems:
        raise InputRejected(_bounded(problems))
    return differences, dict(unchanged)


def _bounded(problems: list[Problem]) -> list[Problem]:
    """Return them in order, each once, no transponder's own number among them (a log may keep them)."""
    hidden = (
        Problem(
            each.file,
            each.line,
            each.column and hide_transponders(each.column),
            hide_transponders(each.message),
        )
        for each in problems
    )
    ordered = sorted(
        dict.fromkeys(hidden), key=lambda problem: (problem.file, problem.line or 0, problem.column or "")
    )
    if len(ordered) <= MOST_PROBLEMS:
        return ordered
    more = len(ordered) - MOST_PROBLEMS
    return [
        *ordered[:MOST_PROBLEMS],
        Problem("", None, None, f"and {more} more problems: correct these first"),
    ]


def _new_facts(differences: Iterable[Difference]) -> Iterator[NewFact]:
    for each in differences:
        if each.reverses is not None:
            yield NewFact(each.property, each.table, each.key, "", each.reverses, each.reason)
        if each.after is not None:
            yield NewFact(each.property, each.table, each.key, each.after, None, each.reason)
