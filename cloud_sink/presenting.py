"""Prints reports, for people as one line each, for programs (`--json`) as one JSON array."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, TextIO, TypeVar

import msgspec
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloud_sink.gaps import PageGap, RecordGap
from cloud_sink.listings import DisputeLine, JournalLine, QuarantineLine
from cloud_sink.reconciling import Run
from wastelock.page import format_instant

T = TypeVar("T")

_MEANING = {
    "page": "another page with this number came, also signed",
    "chain": "doesn't name the page before it",
    "record": "another record with this identity came",
    "unverified": "another unverified reading of this record came",
    "mac": "the MAC is wrong",
}


@contextmanager
def progress_on_stderr(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far long work is, on standard error; what is yielded is told the position and the last one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda position, end: bar.update(task, completed=position, total=end)


def print_all(
    items: Iterable[T], describe: Callable[[T], str], as_json: bool, out: TextIO, none: str
) -> None:
    """Print items as they come, so that memory stays bounded. `none`: what to tell people if there are none."""
    count = 0
    for item in items:
        if as_json:
            out.write(("[\n" if count == 0 else ",\n") + to_json(item))
        else:
            out.write(describe(item) + "\n")
        count += 1
    if as_json:
        out.write("[]\n" if count == 0 else "\n]\n")
    elif count == 0:
        out.write(none + "\n")


def gap(item: PageGap | RecordGap) -> str:
    """`buffered  lock 1f00a3 epoch 7: records 905..910 (6): in the controller's ring, not read yet`"""
    what = _range(item.first, item.last)
    if isinstance(item, PageGap):
        return (
            f"{item.state:9} {item.site}/{item.gateway} journal {item.journal}: pages {what}: {item.reason}"
        )
    early = " (before the first record known here)" if item.before_first else ""
    return f"{item.state:9} lock {item.lock} epoch {item.epoch}: records {what}: {item.reason}{early}"


def run(item: Run) -> str:
    """`proven  lock 1f00a3 epoch 7 chamber 1: 120 pours, register 40 -> 160, records 1..133`"""
    text = (
        f"{item.verdict:11} lock {item.lock} epoch {item.epoch} chamber {item.chamber}: {item.pours} pours, "
        f"register {item.start_register} -> {item.end_register}, records {item.first_seq}..{item.last_seq}"
    )
    if item.explained:
        text += f"; {item.explained} lie in missing or unverified records"
    if item.unexplained:
        text += f"; {item.unexplained} UNEXPLAINED"
    text += f"; ended by {item.ended_by}" if item.ended_by else ""
    for step in item.steps:
        text += f"\n            between {step.after_seq} and {step.before_seq}: register moved by {step.pours:+d} pours"
    return text


def dispute(item: DisputeLine) -> str:
    """`12  record  lindenhof/gw-0001 page 1842 slot 3: another … (lock 1f00a3 epoch 7 seq 905; entry 77 stands)`"""
    slot = "" if item.slot is None else f" slot {item.slot}"
    text = f"{item.number:6}  {item.kind:10} {item.site}/{item.gateway} page {item.page}{slot}: {_MEANING[item.kind]}"
    if item.lock is not None:
        stands = "no entry stands" if item.position is None else f"entry {item.position} stands"
        text += f" (lock {item.lock} epoch {item.epoch} seq {item.seq}; {stands})"
    return f"{text}, {instant(item.noticed_at)}"


def quarantined(item: QuarantineLine) -> str:
    """`3  unknown key  wl/1/lindenhof/gw-0001/up/page: 17 times, last …`"""
    if item.what == "unread":
        slot = "all records" if item.slot is None else f"record {item.slot}"
        return f"{item.number:6}  unread: {item.topic} page {item.page}, {slot}: {item.detail}"
    detail = f": {item.detail}" if item.detail else ""
    times = f"{item.times} times, last {instant(item.last_at)}"
    return f"{item.number:6}  {item.reason}{detail}: {item.topic} ({item.size_bytes} bytes, {times})"


def journal(item: JournalLine) -> str:
    """`lindenhof/gw-0001 0d3c…: all pages up to 1842, newest 1861, missing 1843..1849`"""
    text = f"{item.site}/{item.gateway} {item.journal}: all pages up to {item.committed_through}"
    if item.newest_page > item.committed_through:
        text += f", newest {item.newest_page}"
    if item.missing:
        text += f", missing {', '.join(_range(*span) for span in item.missing[:10])}"
        text += " …" if len(item.missing) > 10 else ""
    return text + ("" if item.is_latest else " (an earlier journal)")


def counts(result: dict[str, int]) -> str:
    """`pages taken: 3` and so on, one line each."""
    return "\n".join(f"{name.replace('_', ' ')}: {number}" for name, number in result.items())


def as_json(item: Any) -> Any:
    """Return an item as plain data: instants as the contract writes them, properties of a run included."""
    if is_dataclass(item) and not isinstance(item, type):
        data = {field.name: as_json(getattr(item, field.name)) for field in fields(item)}
        if isinstance(item, Run):
            data |= {"register_pours": item.register_pours, "verdict": item.verdict}
        if isinstance(item, PageGap | RecordGap):
            data = {"what": "pages" if isinstance(item, PageGap) else "records", **data}
        return data
    if isinstance(item, BaseModel):
        return item.model_dump(mode="json")
    if isinstance(item, datetime):
        return format_instant(item)
    if isinstance(item, list | tuple):
        return [as_json(part) for part in item]
    return item


def to_json(item: Any) -> str:
    """Return an item as JSON."""
    return msgspec.json.encode(as_json(item)).decode()


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last} ({last - first + 1})"


def instant(at: datetime) -> str:
    """Return an instant as the contract writes it."""
    return format_instant(at)
