"""What a snapshot says of agent, spool, receipts, alarms and single locks. Pure: snapshot -> findings."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from edge_agent.local.snapshot import LockSight, Snapshot, SpoolSight
from edge_agent.technician.doctor.findings import Finding, Level, Sure, good, notice, trouble

_RECEIPT_LATE_S = 900
_NEARLY_FULL_PERMILLE = 800


def alarm_names(snapshot: Snapshot) -> frozenset[str]:
    """Return the names of the alarms that the agent has raised."""
    return frozenset(text.partition(":")[0] for text in snapshot.alarms)


def judge_custody(snapshot: Snapshot, earlier: Snapshot | None = None) -> list[Finding]:
    """Return what is to be said of how pours come from the gateway to the ledger. `earlier`: a look before."""
    return [*_agent(snapshot), *judge_spool(snapshot.spool), *_receipts(snapshot, earlier)]


def has_late_receipts(snapshot: Snapshot) -> bool:
    """True where a page waits for long although the broker is reached: nothing comes, or a long backlog moves."""
    oldest_at = snapshot.spool.oldest_unreceipted_at
    is_connected = snapshot.broker is not None and snapshot.broker.connected
    return is_connected and oldest_at is not None and _age_s(oldest_at, snapshot.at) >= _RECEIPT_LATE_S


def has_moved(earlier: Snapshot, later: Snapshot) -> bool:
    """True where a receipt has come in between."""
    old, new = earlier.spool, later.spool
    return (old.journal, old.committed_through, old.oldest_unreceipted_at) != (
        new.journal,
        new.committed_through,
        new.oldest_unreceipted_at,
    )


def judge_locks(snapshot: Snapshot, of_buses: Sequence[Finding]) -> list[Finding]:
    """Return what is to be said of single locks, but of those that the verdicts on their buses name already."""
    named = " ".join(finding.what for finding in of_buses if finding.level is Level.TROUBLE)
    return [finding for lock in snapshot.locks if lock.lock not in named for finding in _lock(lock)]


def _agent(snapshot: Snapshot) -> Iterator[Finding]:
    gateway = snapshot.gateway
    if gateway.via != "agent":
        yield notice(
            "agent",
            "agent_stopped",
            "the agent doesn't run: nothing is read from the locks, nothing is sent",
            "",
            "systemctl start wastelock-edge-agent",
        )
    elif gateway.stuck_loops:
        yield trouble(
            "agent",
            "agent_stuck",
            f"the agent hangs: {', '.join(gateway.stuck_loops)} doesn't go on",
            f"process {gateway.pid}",
            "systemctl restart wastelock-edge-agent; send us `edge-agent bundle` made before that",
        )
    else:
        yield good(
            "agent",
            f"runs (process {gateway.pid})",
            f"release {gateway.software}, start {gateway.incarnation}",
        )
    for alarm in snapshot.alarms:
        name, _, text = alarm.partition(": ")
        what, _, remedy = text.partition(": ")
        yield trouble(
            "alarm",
            name.replace(" ", "_"),
            f"{name}: {what}",
            "",
            remedy or "docs/operations-troubleshooting.md",
        )


def judge_spool(spool: SpoolSight) -> Iterator[Finding]:
    """Yield what is to be said of the spool's file."""
    if spool.trouble is not None:
        if "not there yet" in spool.trouble:
            yield notice("spool", "no_spool", f"{spool.path}: {spool.trouble}")
        else:
            yield trouble(
                "spool",
                "spool_unreadable",
                f"{spool.path} can't be read",
                spool.trouble,
                "a damaged spool is set aside and salvaged when the agent starts; else see its owner and rights",
            )
        return
    permille = 1000 * spool.used_bytes // spool.max_bytes if spool.max_bytes else 0
    if permille >= _NEARLY_FULL_PERMILLE:
        yield trouble(
            "spool",
            "spool_filling",
            f"the spool has used {permille / 10:.0f} % of what it may take",
            f"{spool.used_bytes >> 20} of {spool.max_bytes >> 20} MiB, {spool.unreceipted_pages} pages wait",
            "see why no receipts come; raise spool.max_mib if the disk has room",
        )
    else:
        yield good("spool", f"{spool.pages} pages, {permille / 10:.1f} % of its room used", spool.path)


def _receipts(snapshot: Snapshot, earlier: Snapshot | None) -> Iterator[Finding]:
    spool = snapshot.spool
    if spool.trouble is not None:
        return
    oldest_at = spool.oldest_unreceipted_at
    if not spool.unreceipted_pages or oldest_at is None:
        yield good(
            "receipts", "the ledger has everything that was sealed here", f"page {spool.committed_through}"
        )
        return
    evidence = f"{spool.unreceipted_pages} pages wait, the oldest since {oldest_at:%Y-%m-%d %H:%M} UTC"
    if _age_s(oldest_at, snapshot.at) < _RECEIPT_LATE_S:
        yield good("receipts", "pages are on their way", evidence)
    elif earlier is not None and has_moved(earlier, snapshot):
        yield good("receipts", "a backlog is on its way: receipts came while it was looked at", evidence)
    elif has_late_receipts(snapshot):
        yield trouble(
            "receipts",
            "receipts_missing",
            "the ledger confirms nothing although the broker is reached",
            evidence,
            "in the cloud: does `cloud-sink run` run, what says `cloud-sink quarantine`? Nothing is lost meanwhile",
            Sure.LIKELY,
        )
    else:
        yield notice(
            "receipts",
            "receipts_wait",
            "pages wait here, since they can't be sent",
            evidence,
            "see what is said of agent and broker; without a network: `edge-agent spool export`",
        )


def _lock(lock: LockSight) -> Iterator[Finding]:
    state = lock.state
    if state is None or not state.reachable:
        return  # what is said of its bus tells it
    if state.problem is not None:
        yield trouble(
            f"lock {lock.lock}",
            "lock_problem",
            state.problem,
            f"unit {lock.unit} on {lock.bus}",
            f"edge-agent read {lock.lock} shows all of it",
        )
    for fault in state.faults:
        yield trouble(
            f"lock {lock.lock}",
            "lock_fault",
            f"reports {fault}",
            f"unit {lock.unit} on {lock.bus}",
            "docs/twins.md says what each fault asks for",
        )
    if state.overwritten_records:
        yield trouble(
            f"lock {lock.lock}",
            "records_overwritten",
            "it overwrote records that nobody had read",
            f"{state.overwritten_records} records",
            "visit it more often, find out why it wasn't; `cloud-sink gaps` counts them",
        )


def _age_s(instant: datetime, now: datetime) -> float:
    return (now - instant).total_seconds()
