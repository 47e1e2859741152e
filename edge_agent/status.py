"""`edge-agent status`: what is in the spool and how far each lock's journal is safe, read beside a running agent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig
from edge_agent.errors import SpoolCorrupt, SpoolUnavailable
from edge_agent.spool_lock import holder_of
from edge_agent.spool_reader import JournalView, SpoolReader
from edge_agent.spool_status import from_ms, summarise
from wastelock.page import format_instant

_TRIES = 3


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """One journal of the spool. `unreceipted_pages`: sealed, not yet proven to be in the ledger."""

    journal: str
    state: str
    reason: str
    began_at: str
    newest_page: int
    committed_through: int
    pruned_through: int
    unreceipted_pages: int


@dataclass(frozen=True, slots=True)
class LockStatus:
    """One lock. `spooled_seq` is on this gateway's disk, `confirmed_seq` was told to the controller."""

    lock: str
    bus: str
    unit: int
    driver: str
    epoch: int | None
    spooled_seq: int | None
    confirmed_seq: int | None


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """All that `status` shows; its JSON has these names."""

    at: str
    gateway: str
    site: str
    agent_pid: int | None
    clock: str
    spool: str
    incarnation: int
    used_bytes: int
    max_bytes: int
    pages: int
    unreceipted_pages: int
    oldest_unreceipted_at: str | None
    journals: tuple[JournalStatus, ...]
    locks: tuple[LockStatus, ...]


def read_status(config: AgentConfig) -> AgentStatus:
    """Return the state of the configured spool. SpoolUnavailable where there is none yet."""
    path = config.spool.path
    if not path.exists():
        raise SpoolUnavailable(f"{path} isn't there yet: the agent makes it when it first runs")
    for _ in range(_TRIES - 1):
        try:
            return _read_status(config, path)
        except SpoolCorrupt:
            continue  # read without locks while an agent was just starting; look again before believing it
    return _read_status(config, path)


def _read_status(config: AgentConfig, path: Path) -> AgentStatus:
    holder = holder_of(path)
    reader = SpoolReader(path)
    try:
        summary = summarise(reader)
        oldest = summary.oldest_unreceipted_at
        return AgentStatus(
            at=format_instant(datetime.now(UTC)),
            gateway=config.gateway.id,
            site=config.gateway.site,
            agent_pid=holder.pid if holder is not None and holder.command is None else None,
            clock=GatewayClock(config.clock.source).trust(),
            spool=str(path),
            incarnation=reader.incarnation(),
            used_bytes=summary.used_bytes,
            max_bytes=config.spool.max_mib * 1024 * 1024,
            pages=summary.pages,
            unreceipted_pages=summary.unreceipted_pages,
            oldest_unreceipted_at=format_instant(oldest) if oldest else None,
            journals=tuple(_journal_status(reader, view) for view in reader.journals()),
            locks=_lock_status(config, reader),
        )
    finally:
        reader.close()


def _journal_status(reader: SpoolReader, view: JournalView) -> JournalStatus:
    return JournalStatus(
        journal=view.uuid,
        state=view.state,
        reason=view.reason,
        began_at=format_instant(from_ms(view.began_at_ms)),
        newest_page=view.newest_page,
        committed_through=view.committed_through,
        pruned_through=view.pruned_through,
        unreceipted_pages=reader.count_after(view.id, view.committed_through),
    )


def _lock_status(config: AgentConfig, reader: SpoolReader) -> tuple[LockStatus, ...]:
    cursors = reader.cursors()
    return tuple(
        LockStatus(lock.lock, lock.bus, lock.unit, lock.driver, *cursors.get(lock.lock, (None, None, None)))
        for lock in config.locks
    )


def print_status(status: AgentStatus) -> None:
    """Print for people."""
    running = f"runs (process {status.agent_pid})" if status.agent_pid is not None else "doesn't run"
    print(
        f"gateway   {status.gateway}, site {status.site}: the agent {running}, started {status.incarnation} times"
    )
    print(f"clock     {status.clock}")
    used, most = status.used_bytes / 1_048_576, status.max_bytes / 1_048_576
    print(f"spool     {status.spool}: {used:.1f} of {most:.0f} MiB, {status.pages} pages")
    waiting = f", the oldest since {status.oldest_unreceipted_at}" if status.oldest_unreceipted_at else ""
    print(f"          {status.unreceipted_pages} pages wait for the ledger's receipt{waiting}")
    print("\njournal                               state    sealed  committed  pruned  began")
    for journal in status.journals:
        print(
            f"{journal.journal}  {journal.state:7}{journal.newest_page:8}{journal.committed_through:11}"
            f"{journal.pruned_through:8}  {journal.began_at}  {journal.reason}"
        )
    print("\nlock              bus         unit  driver     epoch     on disk   confirmed")
    for lock in status.locks:
        print(
            f"{lock.lock:16}  {lock.bus:10}  {lock.unit:4}  {lock.driver:9}{_or_dash(lock.epoch):>7}"
            f"{_or_dash(lock.spooled_seq):>12}{_or_dash(lock.confirmed_seq):>12}"
        )


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)
