"""Documents for whoever asks for them one by one, or all at once in one file: PDFs in memory, archives on disk.

An archive is written entry by entry, so memory stays that of one statement, however many there are.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

from billing_aggregator.documents.blocks import Letter, Report
from billing_aggregator.documents.building import Sources, build_statement, list_addressees
from billing_aggregator.documents.exporting import list_files
from billing_aggregator.documents.letter import word_statement
from billing_aggregator.documents.overview import word_overview
from billing_aggregator.documents.typesetting import Typesetter
from billing_aggregator.documents.writing import statement_name
from billing_aggregator.errors import NotFound

_EPOCH = (1980, 1, 1, 0, 0, 0)  # entries have no date of their own: the same statements, the same bytes


def print_statement(sources: Sources, row: str) -> bytes:
    """Return one party's statement as PDF; NotFound if it gets none."""
    basis = next((each for each in list_addressees(sources) if each.row == row), None)
    if basis is None:
        raise NotFound(f"there is no statement for {row} in this run")
    return Typesetter(Letter).typeset(word_statement(build_statement(sources, basis))).pdf


def print_overview(sources: Sources, language: str) -> bytes:
    """Return the landlord's overview as PDF. `language`: de or en."""
    provisional = sources.provisional_as_of is not None
    report = word_overview(
        sources.document, sources.sha256, sources.names, sources.dated, language, provisional
    )
    return Typesetter(Report).typeset(report).pdf


def bundle_statements(sources: Sources, path: Path, progress: Callable[[int, int], None]) -> int:
    """Write all statements of a revision into one archive and return how many they are.

    `progress` is told how many are done, and of how many.
    """
    rows = list_addressees(sources)
    typesetter = Typesetter(Letter)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for done, basis in enumerate(rows, 1):
            content = build_statement(sources, basis)
            entry = zipfile.ZipInfo(statement_name(content), _EPOCH)
            archive.writestr(entry, typesetter.typeset(word_statement(content)).pdf)
            progress(done, len(rows))
    return len(rows)


def bundle_export(sources: Sources, path: Path) -> None:
    """Write everything of a revision as CSV and JSON into one archive: the files that `exporting` describes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in list_files(sources.document, sources.pours).items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
