"""A protocol as PDF: to be printed, signed by hand and filed. Fonts of the format itself: nothing to install."""

from collections.abc import Sequence
from datetime import datetime

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from edge_agent.technician.protocol_words import Document, Section

_FONT = "Helvetica"
_GOOD, _BAD, _GREY = (20, 110, 50), (170, 20, 20), (90, 90, 90)
_LIGHT = (235, 238, 240)
_MARGIN_MM, _LINE_MM = 18, 4.7
_NAME_MM, _NUMBER_MM = 42, 7
_TABLE_BEGINS_MM = 24  # a heading stays with the first rows below it


def to_pdf(document: Document, made_at: datetime) -> bytes:
    """Return the paper as PDF (A4)."""
    pdf = _Paper(document, made_at)
    pdf.add_page()
    pdf.heading()
    for section in document.sections:
        pdf.section(section)
    pdf.signatures()
    return bytes(pdf.output())


class _Paper(FPDF):
    def __init__(self, document: Document, made_at: datetime) -> None:
        super().__init__(format="A4")
        self._document = document
        self.set_margins(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=_MARGIN_MM + 4)
        self.set_title(document.title)
        self.set_creation_date(made_at)

    def footer(self) -> None:
        self.set_y(-_MARGIN_MM + 3)
        self.set_font(_FONT, size=7.5)
        self.set_text_color(*_GREY)
        self.cell(0, 4, _plain(self._document.footer))
        self.cell(0, 4, f"{self.page_no()} / {{nb}}", align="R")
        self.set_text_color(0)

    def heading(self) -> None:
        self.set_font(_FONT, "B", 16)
        self._write(self._document.title, 8)
        self.ln(2)
        self.set_font(_FONT, "B", 12)
        self.set_text_color(*(_GOOD if self._document.passed else _BAD))
        self._write(self._document.verdict, 7)
        self.set_text_color(0)
        self.set_font(_FONT, size=9.5)
        for number, finding in enumerate(self._document.findings, 1):
            self._write(f"{number}. {finding}", _LINE_MM)

    def section(self, section: Section) -> None:
        if self.will_page_break(_TABLE_BEGINS_MM):
            self.add_page()
        self.ln(3)
        heading, *more = section.heading.split("\n")
        self.set_font(_FONT, "B", 10.5)
        self._write(heading, 6)
        self.set_font(_FONT, size=9)
        for line in more:
            self._write(line, _LINE_MM)
        if section.head:
            self._table(section.head, section.rows)
        else:
            for name, value in section.rows:
                self._pair(name, value)

    def signatures(self) -> None:
        if self.will_page_break(28):
            self.add_page()
        self.ln(18)
        width = (self.epw - 12) / len(self._document.signatures)
        top = self.get_y()
        self.set_font(_FONT, size=8)
        for index, label in enumerate(self._document.signatures):
            left = self.l_margin + index * (width + 12)
            self.line(left, top, left + width, top)
            self.set_xy(left, top + 1)
            self.cell(width, 4, _plain(label))

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.ln(1)
        style = FontFace(emphasis="BOLD", fill_color=_LIGHT)
        widths = tuple(_weight(column) for column in zip(head, *rows, strict=True))
        with self.table(
            headings_style=style,
            line_height=_LINE_MM,
            text_align="RIGHT",
            col_widths=widths,
            padding=(0.4, 1),
            borders_layout="HORIZONTAL_LINES",
        ) as table:
            for row in (head, *rows):
                table.row([_plain(cell) for cell in row])

    def _pair(self, name: str, value: str) -> None:
        top = self.get_y()
        width = _NUMBER_MM if name.isdecimal() else _NAME_MM
        self.set_text_color(*_GREY)
        self.multi_cell(width, _LINE_MM, _plain(name), new_x=XPos.RIGHT, new_y=YPos.TOP)
        self.set_text_color(0)
        self.set_xy(self.l_margin + width, top)
        self._write(value, _LINE_MM)

    def _write(self, text: str, height_mm: float) -> None:
        self.multi_cell(0, height_mm, _plain(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _weight(column: Sequence[str]) -> int:
    """How wide a column is beside the others: by its longest cell."""
    return min(28, max(6, max(map(len, column)) + 2))


def _plain(text: str) -> str:
    """Return text in what the built-in fonts can show."""
    return text.encode("cp1252", "replace").decode("cp1252")
