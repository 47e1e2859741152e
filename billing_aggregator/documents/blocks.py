"""What a page is made of once everything is said in words: blocks of finished text, no figure left to compute.

The typst templates draw each kind of block in one way. Text goes there as JSON data, never as markup, so a name with
`#`, `*` or `$` prints as it is.
"""

import msgspec


class Block(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Part of a page. `title` numbers itself; empty: it goes on with what stands before it."""

    title: str = ""


class Column(msgspec.Struct, frozen=True):
    """A column of a table. `share`: its part of the width that is left, 0: as wide as its text. `right`: figures."""

    head: str
    share: int = 0
    right: bool = True


class Table(Block, frozen=True, kw_only=True):
    """Rows of cells; `foot`: sums, set off and strong. A cell may hold several lines. `notes` follow in small type."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


class Terms(Block, frozen=True, kw_only=True):
    """Terms and what is to say about each."""

    items: tuple[tuple[str, str], ...]


class Hashes(Block, frozen=True, kw_only=True):
    """Labels and checksums, in a font that tells 0 from O."""

    items: tuple[tuple[str, str], ...]


class Prose(Block, frozen=True, kw_only=True):
    """Paragraphs."""

    paragraphs: tuple[str, ...]


class Pairs(Block, frozen=True, kw_only=True):
    """Many short pairs side by side, as dates and amounts. `note` precedes them."""

    note: str
    items: tuple[tuple[str, str], ...] = ()


class Bars(msgspec.Struct, frozen=True):
    """One chart: for each month the bars own, average, previous in ml (None: unknown). `alt` says it in words."""

    caption: str
    months: tuple[str, ...]
    own: tuple[int, ...]
    average: tuple[int, ...]
    previous: tuple[int | None, ...]
    top: int
    ticks: tuple[tuple[int, str], ...]
    alt: str


class Charts(Block, frozen=True, kw_only=True):
    """Charts side by side; `legend` names own, average and, where it is drawn, previous."""

    legend: tuple[str, ...]
    charts: tuple[Bars, ...]
    notes: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """Lines of a listing that belong together. `remarks` hang below the line of that index."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    remarks: tuple[tuple[int, str], ...] = ()


class Listing(Block, frozen=True, kw_only=True):
    """A long list in newspaper columns. A line's cells are padded with figure spaces: as plain lines they are set ten
    times as fast as a table, and read aloud or copied in their order."""

    intro: str
    heads: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


AnyBlock = Table | Terms | Hashes | Prose | Pairs | Charts | Listing


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figure that a reader looks for first, and how it came about."""

    label: str
    amount: str
    lines: tuple[tuple[str, str], ...]
    note: str


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole document. `dated`: year, month, day. `page`: with {page} and {pages}."""

    language: str
    title: str
    author: str
    dated: tuple[int, int, int]
    watermark: str
    footer: str
    page: str


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A statement: letter's head (DIN 5008 form B), result, blocks; `annex` begins on a page of its own."""

    frame: Frame
    sender: str
    addressee: tuple[str, ...]
    info: tuple[tuple[str, str], ...]
    heading: str
    subheading: str
    opening: tuple[str, ...]
    result: Result
    blocks: tuple[AnyBlock, ...]
    annex: tuple[AnyBlock, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An overview, landscape: `facts` at its head, then blocks."""

    frame: Frame
    heading: str
    subheading: str
    facts: tuple[tuple[str, str], ...]
    blocks: tuple[AnyBlock, ...]
