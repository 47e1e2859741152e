"""What a rule has to say about rows of the master data, and how it becomes a problem with file and line."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing_aggregator.errors import Problem
from billing_aggregator.masterdata.parsing import Place
from billing_aggregator.masterdata.schema import TABLE_OF

Subject = tuple[str, str]  # table and key of a row


@dataclass(frozen=True, slots=True)
class Finding:
    """`subjects`: the rows that it is about, first the one to blame. `message`: what is wrong and what to do.

    `missing`: a row that should be there; where the files take it back, they are to blame. `paste`: lines of a CSV file
    that would put it right, the header first.
    """

    subjects: tuple[Subject, ...]
    column: str | None
    message: str
    missing: Subject | None = None
    paste: tuple[str, ...] = ()


def subject_of(fact: object) -> Subject:
    """Return table and key of a fact."""
    table = TABLE_OF[type(fact)]
    return table.name, table.key_of(fact)  # type: ignore[arg-type]


def to_problem(finding: Finding, property: str, places: Mapping[Subject, Place]) -> Problem:
    """Return the finding where the import has the row: the first of its subjects that is in the files.

    The others are named with their lines.
    """
    blamed = (*finding.subjects, *([finding.missing] if finding.missing is not None else []))
    here = next((subject for subject in blamed if subject in places), None)
    told = [_name(subject, places) for subject in finding.subjects if subject != here]
    message = finding.message + (f" [{'; '.join(told)}]" if told else "")
    message = "\n".join([message, *finding.paste])
    if here is None:
        return Problem("", None, None, f"property {property}: {message}")
    return Problem(places[here].file, places[here].line, finding.column, message)


def _name(subject: Subject, places: Mapping[Subject, Place]) -> str:
    place = places.get(subject)
    where = f"{place.file}:{place.line}" if place is not None else "not in these files"
    return f"{subject[0]} {subject[1]}: {where}"
