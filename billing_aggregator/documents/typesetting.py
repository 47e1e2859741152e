"""Typst, loaded once: blocks in, PDF bytes out; the same blocks always give the same bytes.

Fonts are the ones shipped here and those in typst's wheel, never the system's. PDF/A-3a and PDF/UA-1: the page can be
archived and read aloud. Text that no font here has signs for can't be archived so: it is then set as a plain PDF.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import typst

from billing_aggregator.documents.blocks import Letter, Report

_HERE = Path(__file__).parent
_ARCHIVAL: "list[typst.PDFStandard]" = ["a-3a", "ua-1"]
_TEMPLATES: Final[dict[type[Letter | Report], str]] = {Letter: "statement.typ", Report: "overview.typ"}


@dataclass(frozen=True, slots=True)
class Typeset:
    """A finished PDF. `archival`: it keeps PDF/A-3a and PDF/UA-1."""

    pdf: bytes
    archival: bool


class Typesetter:
    """Compiles one template over and over. One thread owns it; each process makes its own (fonts: about 10 ms)."""

    def __init__(self, kind: type[Letter | Report]) -> None:
        fonts = typst.Fonts(include_system_fonts=False, font_paths=[str(_HERE / "fonts")])
        self._compiler = typst.Compiler(_HERE / _TEMPLATES[kind], root=_HERE, font_paths=fonts)

    def typeset(self, document: Letter | Report) -> Typeset:
        """Return the PDF. Its dates are the document's own, so that it doesn't depend on when it was printed."""
        inputs = {"document": msgspec.json.encode(document).decode()}
        timestamp = datetime(*document.frame.dated, tzinfo=UTC)
        try:
            return Typeset(self._compile(inputs, timestamp, _ARCHIVAL), archival=True)
        except typst.TypstError as error:
            if "could not be displayed" not in str(error):
                raise
            return Typeset(self._compile(inputs, timestamp, []), archival=False)

    def _compile(
        self, inputs: dict[str, str], timestamp: datetime, standards: "list[typst.PDFStandard]"
    ) -> bytes:
        pdf = self._compiler.compile(
            format="pdf", sys_inputs=inputs, pdf_standards=standards, timestamp=timestamp
        )
        if not isinstance(pdf, bytes):
            raise TypeError(f"typst gave {type(pdf).__name__} for a PDF")
        return pdf
