"""Statements onto disk: one PDF a party, in as many processes as wanted, never more than a few in memory.

A file appears under its name only when it is whole. The same statement gives the same bytes, so writing again is
harmless.
"""

import multiprocessing
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from billing_aggregator.documents.blocks import Letter, Report
from billing_aggregator.documents.content import StatementContent
from billing_aggregator.documents.letter import word_statement
from billing_aggregator.documents.typesetting import Typeset, Typesetter

_BATCH = 16
_PLAIN_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Written:
    """One statement on disk. `archival`: it keeps PDF/A; else some name has signs that no font here has."""

    path: Path
    row: str
    archival: bool


def statement_name(content: StatementContent) -> str:
    """Return the file's name: `statement-<dwelling>-<party>-r<revision>.pdf`."""
    tenancy = content.tenancy
    parts = (_PLAIN_NAME.sub("_", part) for part in (tenancy.dwelling, tenancy.party))
    return f"statement-{'-'.join(parts)}-r{content.revision}.pdf"


def write_statements(
    contents: Iterable[StatementContent],
    directory: Path,
    progress: Callable[[int], None] = lambda _: None,
    processes: int = 1,
) -> list[Written]:
    """Write all statements into a directory, which is made, and return what was written in their order.

    `progress` is told how many more are done. StatementUnsound for the first whose figures contradict each other;
    those before it are written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    batches = _in_this_process if processes <= 1 else _in_processes(processes)
    written = []
    for batch in batches(contents, directory):
        written.extend(batch)
        progress(len(batch))
    return written


def write_overview(report: Report, path: Path) -> Typeset:
    """Write the overview of a property."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = Typesetter(Report).typeset(report)
    _put(path, done.pdf)
    return done


_Batches = Callable[[Iterable[StatementContent], Path], Iterator[list[Written]]]


def _in_this_process(contents: Iterable[StatementContent], directory: Path) -> Iterator[list[Written]]:
    typesetter = Typesetter(Letter)
    for content in contents:
        yield [_write(content, directory, typesetter)]


def _in_processes(processes: int) -> _Batches:
    def write(contents: Iterable[StatementContent], directory: Path) -> Iterator[list[Written]]:
        # Spawned: typst has threads of its own, and a fork would copy their locks without them.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            running: deque[Future[list[Written]]] = deque()
            source = iter(contents)
            while batch := tuple(islice(source, _BATCH)):
                running.append(pool.submit(_write_batch, batch, directory))
                if len(running) > 2 * processes:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    return write


_own: list[Typesetter] = []  # one in each worker process, made with its first batch


def _write_batch(batch: tuple[StatementContent, ...], directory: Path) -> list[Written]:
    if not _own:
        _own.append(Typesetter(Letter))
    return [_write(content, directory, _own[0]) for content in batch]


def _write(content: StatementContent, directory: Path, typesetter: Typesetter) -> Written:
    path = directory / statement_name(content)
    done = typesetter.typeset(word_statement(content))
    _put(path, done.pdf)
    return Written(path, content.tenancy.row, done.archival)


def _put(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
