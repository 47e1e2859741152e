"""A protocol as plain text: what every machine shows."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from edge_agent.technician.protocol_words import Document, Section

_WIDTH = 100


def to_text(document: Document) -> str:
    """Return the paper as text."""
    lines = [document.title, "=" * len(document.title), "", document.verdict]
    for number, finding in enumerate(document.findings, 1):
        lines += wrap(f"{number}. {finding}", _WIDTH, subsequent_indent="   ")
    for section in document.sections:
        lines += ["", *section.heading.split("\n"), *_rows(section)]
    for signature in document.signatures:
        lines += ["", "", "_" * 40, signature]
    return "\n".join([*lines, "", document.footer, ""])


def _rows(section: Section) -> Iterator[str]:
    rows: list[Sequence[str]] = [*([section.head] if section.head else []), *section.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        if section.head:
            yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        else:
            indent = " " * (widths[0] + 4)
            yield from wrap(f"  {row[0].ljust(widths[0])}  {row[1]}", _WIDTH, subsequent_indent=indent)
