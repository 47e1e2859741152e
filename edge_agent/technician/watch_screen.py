"""Draws `watch` for a terminal of any size: head, buses, locks, what is wrong, keys. What has no room is left out.

Wide and high enough, there is a row for each lock; else short rows, in as many columns as the width allows; and where
that isn't enough either, one scrolls. What is in trouble can be sorted to the top.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from edge_agent.local.snapshot import BusSight, Snapshot
from edge_agent.technician.quality import Quality
from edge_agent.technician.watch_rows import Level, LockRow, Order, in_order, lock_rows, short_age

_STYLES = {Level.GOOD: "", Level.NOTE: "yellow", Level.TROUBLE: "bold red"}
_MARKS = {Level.GOOD: " ", Level.NOTE: "!", Level.TROUBLE: "X"}
_MIB = 1024 * 1024
_BUSES_MAX = 4
_CELL = 39
_WIDE_FROM = 76
_ROWS_LEAST = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the wide table: its head, its width, which field; `from_width`: left out on narrower terminals."""

    head: str
    width: int
    field: str
    from_width: int = 0
    is_number: bool = False


_COLUMNS = (
    Column("lock", 8, "lock"),
    Column("bus, unit", 12, "place"),
    Column("state", 24, "state"),
    Column("last pour", 13, "pour"),
    Column("ring", 5, "ring", is_number=True),
    Column("spool", 6, "spool", is_number=True),
    Column("ledger", 8, "ledger", 100, is_number=True),
    Column("sound", 5, "answers", 100, is_number=True),
    Column("ms", 5, "trip", 100, is_number=True),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person at the keys wants to see: the order, how many rows further down, and what to be told."""

    order: Order = Order.PLACE
    scrolled: int = 0
    notice: str = ""


def draw(snapshot: Snapshot, quality: Quality, wish: Wish, width: int, height: int) -> Group:
    """Return the screen, at most `height` lines of at most `width`."""
    rows = in_order(lock_rows(snapshot, quality), wish.order)
    head = [*_head(snapshot, width), *_buses(snapshot, quality, width)]
    foot = [_foot(rows, wish, width)]
    room = max(_ROWS_LEAST, height - len(head) - len(foot) - 1)
    table = _table(rows, wish.scrolled, width, room)
    notes = _notes(snapshot, rows, width)[: max(0, height - len(head) - len(table) - len(foot))]
    lines = [*head, *table, *notes]
    blank = [Text()] * max(0, height - len(lines) - len(foot))
    return Group(*lines[: max(0, height - len(foot))], *blank, *foot)


def draw_once(snapshot: Snapshot, quality: Quality, width: int) -> Group:
    """Return all of it, however many lines that takes."""
    rows = lock_rows(snapshot, quality)
    head = [*_head(snapshot, width), *_buses(snapshot, quality, width, most=len(snapshot.buses))]
    return Group(*head, *_wide(rows, width), *_notes(snapshot, rows, width))


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    g, spool, broker = snapshot.gateway, snapshot.spool, snapshot.broker
    who = f"agent {g.software}" if g.via == "agent" else "no agent runs: read directly"
    first = f"{g.gateway}, {g.site}: {who}  {snapshot.at:%Y-%m-%d %H:%M:%S} UTC, clock {g.clock}"
    if spool.trouble is not None:
        kept = f"spool: {spool.trouble}"
    else:
        room = f"{spool.used_bytes / _MIB:.0f} of {spool.max_bytes // _MIB} MiB"
        kept = f"spool {room}, {spool.unreceipted_pages} pages wait"
        if spool.oldest_unreceipted_at is not None:
            kept += f" up to {short_age((snapshot.at - spool.oldest_unreceipted_at).total_seconds())}"
    if broker is None:
        sent, style = "broker: nobody sends", "yellow"
    elif broker.connected:
        pages = f"{broker.pages_sent} pages sent, {broker.pages_received} received"
        sent, style = f"broker {broker.host}:{broker.port} connected, {pages}", ""
    else:
        sent, style = f"broker: {broker.trouble}", "bold red"
    second = Text(_cut(f"{kept}; {sent}" if style != "bold red" else f"{sent}; {kept}", width), style)
    return [Text(_cut(first, width), "bold"), second]


def _buses(snapshot: Snapshot, quality: Quality, width: int, most: int = _BUSES_MAX) -> list[Text]:
    """A line for each bus; where there are too many, those in trouble first."""
    shown = sorted(snapshot.buses, key=lambda bus: bus.trouble is None)[:most]
    names = {bus.bus for bus in shown}
    lines = [_bus(bus, quality, width) for bus in snapshot.buses if bus.bus in names]
    left_out = len(snapshot.buses) - len(lines)
    return [*lines, Text(f"and {left_out} more buses, all open", "dim")] if left_out else lines


def _bus(bus: BusSight, quality: Quality, width: int) -> Text:
    if bus.trouble is not None:
        return Text(_cut(f"{bus.bus}: {bus.trouble}", width), "bold red" if bus.lent_to is None else "yellow")
    lately = quality.of_bus(bus.bus)
    good = "" if lately.good_permille is None else f"{lately.good_permille / 10:.1f}% sound, "
    wire = "" if lately.wire_permille is None else f", wire {lately.wire_permille / 10:.0f}% busy"
    text = (
        f"{bus.bus}: {good}{lately.requests_per_s:.1f}/s, {lately.timeouts} silent, {lately.broken} broken, "
        f"{lately.late_or_foreign} late{wire}; {bus.where}"
    )
    is_poor = lately.good_permille is not None and lately.good_permille < 980
    return Text(_cut(text, width), "yellow" if is_poor else "")


def _table(rows: Sequence[LockRow], scrolled: int, width: int, room: int) -> list[Text]:
    """Return the locks in at most `room` lines, in as many columns as they need and the width allows."""
    if len(rows) + 1 <= room and width >= _WIDE_FROM:
        return _wide(rows, width)
    columns = max(1, (width + 1) // (_CELL + 1))
    lines = min(room - 1, -(-len(rows) // columns))
    first = min(scrolled, max(0, len(rows) - lines * columns))
    return _narrow(rows[first : first + lines * columns], columns, lines)


def _wide(rows: Sequence[LockRow], width: int) -> list[Text]:
    columns = [column for column in _COLUMNS if width >= column.from_width]
    spare = max(0, width - 2 - sum(column.width + 1 for column in columns))
    widths = {column.field: column.width + (spare if column.field == "state" else 0) for column in columns}

    def line(mark: str, texts: dict[str, str], style: str) -> Text:
        cells = [_cell(texts[column.field], widths[column.field], column.is_number) for column in columns]
        return Text(_cut(f"{mark} {' '.join(cells)}", width), style)

    head = line(" ", {column.field: column.head for column in columns}, "reverse")
    return [
        head,
        *(
            line(
                _MARKS[row.level], {c.field: str(getattr(row, c.field)) for c in columns}, _STYLES[row.level]
            )
            for row in rows
        ),
    ]


def _narrow(rows: Sequence[LockRow], columns: int, lines: int) -> list[Text]:
    """Columns of short rows, filled from top to bottom."""
    table = [Text(" ".join([_cell("  lock     state        pour ring spool", _CELL)] * columns), "reverse")]
    for number in range(lines):
        text = Text()
        for column in range(columns):
            index = column * lines + number
            if index < len(rows):
                row = rows[index]
                short = (
                    f"{_MARKS[row.level]} {_cell(row.lock, 8)} {_cell(row.state, 12)} {_cell(row.pour_age, 4, True)} "
                    f"{_cell(row.ring, 4, True)} {_cell(row.spool, 5, True)}"
                )
                text.append(_cell(short, _CELL) + " ", _STYLES[row.level])
        text.rstrip()
        table.append(text)
    return table


def _notes(snapshot: Snapshot, rows: Sequence[LockRow], width: int) -> list[Text]:
    alarms = [Text(_cut(f"alarm: {alarm}", width), "bold red") for alarm in snapshot.alarms]
    stuck = [Text(f"no progress: {loop}", "bold red") for loop in snapshot.gateway.stuck_loops]
    worst = sorted((row for row in rows if row.problem), key=lambda row: -row.level)
    return [
        *alarms,
        *stuck,
        *(Text(_cut(f"{row.lock}: {row.problem}", width), _STYLES[row.level]) for row in worst),
    ]


def _foot(rows: Sequence[LockRow], wish: Wish, width: int) -> Text:
    troubled = sum(row.level == Level.TROUBLE for row in rows)
    text = f"q quit  s sort: {wish.order}  {len(rows)} locks, {troubled} in trouble  arrows scroll"
    if wish.notice:
        text = wish.notice
    return Text(_cell(text, width), "reverse yellow" if wish.notice else "reverse")


def _cell(text: str, width: int, is_number: bool = False) -> str:
    cut = _cut(text, width)
    return cut.rjust(width) if is_number else cut.ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "~"
