"""`edge-agent spool export`: pages of the spool into signed files on a USB stick, for `cloud-sink import` to take.

    spool ──page by page──▶ .NAME.part ──fsync──▶ read back from the stick, checked ──rename──▶ NAME.wlpages

In parts, each whole in itself: what is complete stays whatever happens to the next, and the same command goes on from
there: pages that lie in a file of that directory whose signature holds aren't written again. Custody stays here: only
the ledger's receipt lets the gateway forget a page.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from edge_agent.errors import MediumFailed, NotTaken, SpoolCorrupt
from edge_agent.spool_pages import Sealer, to_ms
from edge_agent.spool_reader import JournalView, SpoolReader, StoredPage
from edge_agent.technician.spool_listing import is_received
from wastelock.archive import (
    ARCHIVE_BYTES_MAX,
    ARCHIVE_SPANS_MAX,
    ARCHIVE_SUFFIX,
    ArchiveMaker,
    DamagedArchive,
    Manifest,
    NotAnArchive,
    UntrustedArchive,
    check_archive,
    read_lines,
)
from wastelock.page import MAX_PAGE_BYTES
from wastelock.topics import GatewayTopics

MIB = 1024 * 1024
PART_BYTES = 64 * MIB
_PAGES_AT_ONCE = 500
_PASSING = ".part"
_LAST_LINES_BYTES = 2 * MAX_PAGE_BYTES + 4 * MIB  # a page more, and the manifest
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Progress = Callable[[int, int], None]
"""Is told how many pages were looked at, of how many."""
_Page = tuple[JournalView, StoredPage]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pages: sealed at or after `since_at`, and only those that no receipt covers."""

    since_at: datetime | None = None
    unreceived: bool = False


@dataclass(slots=True)
class Exported:
    """What was written. `already`: pages that lay in whole files of the directory; `spoilt`: files that aren't whole.

    `left_out`: why some pages aren't in any file.
    """

    files: list[str] = field(default_factory=list)
    pages: int = 0
    size_bytes: int = 0
    already: int = 0
    spoilt: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Export:
    """One export of one spool. `run` writes; what it has done so far is in `done`, also where it raised."""

    def __init__(
        self, reader: SpoolReader, sealer: Sealer, target: Path, now: Callable[[], datetime]
    ) -> None:
        """`target`: a directory, for parts in it, or the name of the one file to write."""
        self.done = Exported()
        self._reader = reader
        self._sealer = sealer
        self._target = target
        self._now = now

    def run(
        self,
        selection: Selection,
        part_bytes: int = PART_BYTES,
        progress: Progress = lambda _done, _all: None,
    ) -> Exported:
        """Write the selected pages. Raises MediumFailed, or NotTaken where such a file is there."""
        in_parts = self._target.is_dir()
        if not in_parts:
            self._check_file_name()
            part_bytes = ARCHIVE_BYTES_MAX
        earlier = list(self._earlier()) if in_parts else []
        views = [view for view in self._reader.journals() if self._is_exported(view)]
        names = sorted({(view.site, view.gateway) for view in views})
        if not in_parts and len(names) > 1:
            raise NotTaken(
                f"pages of {len(names)} names of this gateway wait: name a directory, for a file of each"
            )
        for site, gateway in names:
            mine = [view for view in views if (view.site, view.gateway) == (site, gateway)]
            pages = self._pages(mine, earlier, selection, progress)
            self._write_parts(GatewayTopics(site, gateway), pages, part_bytes, in_parts)
        return self.done

    # ---- what is to be written ----

    def _is_exported(self, view: JournalView) -> bool:
        if view.state != "forked":
            return True
        # The ledger has other pages of these numbers; what it hasn't is sealed anew into the active journal.
        self.done.left_out.append(f"journal {view.uuid} was given up: its pages are sealed anew by the agent")
        return False

    def _pages(
        self, views: list[JournalView], earlier: list[Manifest], selection: Selection, progress: Progress
    ) -> Iterator[_Page]:
        """Yield the pages to write, ascending within a journal; a running agent may prune some meanwhile."""
        since_ms = None if selection.since_at is None else to_ms(selection.since_at)
        starts = [view.committed_through if selection.unreceived else 0 for view in views]
        counts = [self._reader.count_after(view.id, start) for view, start in zip(views, starts, strict=True)]
        seen = 0
        for view, start in zip(views, starts, strict=True):
            held = self._reader.held(view.id) if selection.unreceived else []
            while numbers := self._reader.pages_after(view.id, start, _PAGES_AT_ONCE):
                for number in numbers:
                    seen += 1
                    if selection.unreceived and is_received(view, held, number):
                        continue
                    if any(manifest.holds(view.uuid, number) for manifest in earlier):
                        self.done.already += 1
                        continue
                    page = self._read(view, number)
                    if page is not None and (since_ms is None or page.sealed_at_ms >= since_ms):
                        yield view, page
                start = numbers[-1]
                progress(seen, sum(counts))

    def _read(self, view: JournalView, number: int) -> StoredPage | None:
        """Return a page; None where it isn't there any more, or is damaged: all others are to be saved."""
        try:
            return self._reader.page(view.id, number)
        except SpoolCorrupt as error:
            self.done.left_out.append(str(error))
            return None

    def _earlier(self) -> Iterator[Manifest]:
        """Yield what whole files of this gateway in the directory hold already; what was cut off half-way goes."""
        for leftover in self._target.glob(f".{self._sealer.topics.site}_*{ARCHIVE_SUFFIX}{_PASSING}"):
            leftover.unlink(missing_ok=True)
        for file in sorted(self._target.glob(f"*{ARCHIVE_SUFFIX}")):
            try:
                yield self._check(file)
            except (DamagedArchive, NotAnArchive):
                self.done.spoilt.append(str(file))
            except UntrustedArchive:
                continue  # another gateway's, or of an earlier key: none of ours to judge
            except OSError as error:
                raise _medium_failed(file, error) from error

    # ---- onto the medium ----

    def _check_file_name(self) -> None:
        if self._target.exists():
            raise NotTaken(f"{self._target} is there already: name another file, or a directory for parts")
        if not self._target.parent.is_dir():
            raise NotTaken(f"{self._target.parent} isn't there: is the stick mounted? `lsblk` shows it")

    def _write_parts(
        self, topics: GatewayTopics, pages: Iterator[_Page], part_bytes: int, in_parts: bool
    ) -> None:
        pending = next(pages, None)
        while pending is not None:
            maker = ArchiveMaker(topics, self._sealer.key, self._now())
            final = self._part_name(topics) if in_parts else self._target
            with _part(final) as (file, temporary):
                file.write(maker.open())
                while pending is not None and not _is_full(maker, part_bytes):
                    view, page = pending
                    stored = (page.kid, page.signature, page.payload)
                    file.write(maker.add(view.uuid, view.newest_page, page.page, stored))
                    pending = next(pages, None)
                if pending is not None and not in_parts:
                    raise MediumFailed(
                        f"{final}: more than fits one file ({part_bytes // MIB} MiB): name a directory, for parts"
                    )
                file.write(maker.close())
                _settle(file)
                self._check_written(temporary)
            self.done.files.append(str(final))
            self.done.pages += maker.page_count
            self.done.size_bytes += maker.size

    def _check_written(self, temporary: Path) -> None:
        """Read it back from the medium: what a stick says that it took isn't always there."""
        try:
            self._check(temporary)
        except (DamagedArchive, NotAnArchive, UntrustedArchive) as error:
            raise MediumFailed(
                f"{temporary.parent}: what was written reads back wrong ({error}): this medium is broken, take another"
            ) from error

    def _check(self, file: Path) -> Manifest:
        key = self._sealer.key
        with file.open("rb") as opened:
            return check_archive(
                read_lines(opened), lambda _topics, kid: key.private.public_key() if kid == key.kid else None
            )

    def _part_name(self, topics: GatewayTopics) -> Path:
        stamp = self._now().strftime("%Y%m%dT%H%M%S")
        for number in range(1, 10_000):
            name = f"{topics.site}_{topics.gateway}_{stamp}_{number:02}{ARCHIVE_SUFFIX}"
            if not (self._target / name).exists():
                return self._target / name
        raise MediumFailed(f"{self._target}: holds too many files of this gateway: take an empty directory")


@contextmanager
def _part(final: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file that gets its name only once it is whole; else it leaves nothing."""
    temporary = final.with_name(f".{final.name}{_PASSING}")
    try:
        try:
            with temporary.open("wb") as file:
                yield file, temporary
            temporary.replace(final)
            _sync_directory(final.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _medium_failed(final.parent, error) from error


def _settle(file: BinaryIO) -> None:
    """Have the file on the medium, and no longer in memory, so that reading it back reads the medium."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full(maker: ArchiveMaker, part_bytes: int) -> bool:
    return maker.size >= part_bytes - _LAST_LINES_BYTES or maker.span_count >= ARCHIVE_SPANS_MAX


def _medium_failed(where: Path, error: OSError) -> MediumFailed:
    if error.errno in _FULL:
        return MediumFailed(
            f"{where}: is full: make room or take another stick; what is complete on it stays"
        )
    return MediumFailed(
        f"{where}: {error.strerror}: is the stick mounted, and may this user write to it? What is complete on it stays"
    )
