"""What happened -> points of time series, as lines of InfluxDB's line protocol. Pure; docs/time-series.md lists them.

    wl_pour,site=…,lock=…,chamber=1,result=complete volume_ml=5000i,register=17i,latency_ms=2100i 1795341600017000000
    └─────────── series: few, of names ───────────┘ └────────── fields: whole numbers ──────────┘ └ nanoseconds UTC ┘

The same record or report always becomes the same line, so writing it twice changes nothing. Points of a series with one
timestamp would replace each other: a record's number stands below its second, its last three digits as milliseconds,
since some servers keep no less. A person's pseudonym is in no point: there would be a series for each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import Observation
from cloud_sink.reading import Entry
from wastelock.clock_grade import ClockQuality, grade_clock
from wastelock.messages import GatewayState, LockState, MachineHealth, Telemetry
from wastelock.record import Kind, PourResult
from wastelock.registers import Fault

_OTHER = "other"  # a number that this release has no name for
_UNVERIFIED = "unverified"
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_KINDS = {kind.value: kind.name.lower() for kind in Kind}
_RESULTS = {result.value: result.name.lower() for result in PourResult}
_FAULTS = {fault.value: fault.name.lower() for fault in Fault}
_NS_PER_MS = 1_000_000

Fields = Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """The quality of one lock's data at the end of an interval of the ledger's time.

    `records` of `expected` are there; `disputes` are open. Of the pours that were committed within the interval: how
    many, sum and greatest of the latencies of `timed` of them, how many had a clock that can't be trusted.
    """

    site: str
    lock: str
    at_ms: int
    records: int
    expected: int
    disputes: int
    pours: int = 0
    timed: int = 0
    latency_sum_ms: int = 0
    latency_max_ms: int = 0
    doubtful: int = 0


def clock_quality(entry: Entry) -> ClockQuality:
    """Return how far a record's own time can be trusted."""
    read_s = int(entry.read_at.timestamp())
    return grade_clock(entry.flags, entry.began_clock_s, read_s, entry.clock_offset_s, entry.gateway_clock)


def latency_ms(entry: Entry) -> int | None:
    """Return how long it took from the beginning of a pour to the ledger, None where its clock can't be trusted."""
    if entry.unverified or not clock_quality(entry).is_good:
        return None
    return max(0, to_ms(entry.committed_at) - entry.began_clock_s * 1000)


def entry_lines(entry: Entry) -> Iterator[str]:
    """Yield the points of a record. One whose time can't be trusted stands where it was read."""
    trusted = not entry.unverified and clock_quality(entry).is_good
    at_ns = _stamp(entry.began_clock_s if trusted else int(entry.read_at.timestamp()), entry.seq)
    where = {"site": entry.site, "lock": entry.lock}
    if entry.unverified:
        yield from _line("wl_record", {**where, "kind": _UNVERIFIED}, {"count": 1}, at_ns)
        return
    yield from _line("wl_record", {**where, "kind": _KINDS.get(entry.kind, _OTHER)}, {"count": 1}, at_ns)
    if entry.kind == Kind.POUR:
        tags = {**where, "chamber": str(entry.chamber), "result": _RESULTS.get(entry.result, _OTHER)}
        fields = {
            "volume_ml": entry.volume_ml,
            "weight_g": entry.weight_g,
            "duration_ms": entry.duration_ds * 100,
            "register": entry.register_after,
            "latency_ms": latency_ms(entry),
        }
        yield from _line("wl_pour", tags, fields, at_ns)
    elif entry.kind in (Kind.FAULT_RAISED, Kind.FAULT_CLEARED):
        tags = {**where, "fault": _FAULTS.get(entry.duration_ds, _OTHER)}
        yield from _line("wl_fault", tags, {"active": int(entry.kind == Kind.FAULT_RAISED)}, at_ns)


def observation_lines(seen: Observation) -> Iterator[str]:
    """Yield the points of a report, at the instant at which it was heard."""
    heard_ms = to_ms(seen.heard_at)
    at_ns = heard_ms * _NS_PER_MS + seen.observation_no % _NS_PER_MS
    match seen.state:
        case LockState() as lock:
            yield from _lock_lines({"site": seen.site, "lock": lock.lock}, lock, at_ns)
        case GatewayState() as gateway:
            tags = {"site": seen.site, "gateway": seen.gateway}
            yield from _line("wl_gateway", tags, _gateway_fields(gateway), at_ns)
        case Telemetry() as telemetry:
            tags = {"site": seen.site, "gateway": seen.gateway}
            yield from _machine_lines(tags, telemetry, heard_ms, at_ns)


def quality_lines(points: Iterable[QualityPoint]) -> Iterator[str]:
    """Yield a point for each lock and interval."""
    for point in points:
        fields = {
            "records": point.records,
            "missing": point.expected - point.records,
            "completeness_permille": 1000 * point.records // point.expected if point.expected else None,
            "disputes": point.disputes,
            "pours": point.pours,
            "doubtful_clocks": point.doubtful,
            "latency_mean_ms": point.latency_sum_ms // point.timed if point.timed else None,
            "latency_max_ms": point.latency_max_ms if point.timed else None,
        }
        tags = {"site": point.site, "lock": point.lock}
        yield from _line("wl_quality", tags, fields, point.at_ms * _NS_PER_MS)


def _lock_lines(tags: Mapping[str, str], lock: LockState, at_ns: int) -> Iterator[str]:
    unread = (
        None
        if lock.newest_seq is None or lock.spooled_seq is None
        else max(0, lock.newest_seq - lock.spooled_seq)
    )
    fields = {
        "reachable": int(lock.reachable),
        "faults": len(lock.faults),
        "fill_permille": lock.fill_permille,
        "battery_mv": lock.battery_mv,
        "temperature_dc": lock.temperature_dc,
        "clock_status": lock.clock_status,
        "clock_offset_s": lock.clock_offset_s,
        "access_list_version": lock.access_list_version,
        "unread_records": unread,
        "unverified_records": lock.unverified_records,
        "overwritten_records": lock.overwritten_records,
    }
    yield from _line("wl_lock", tags, fields, at_ns)
    for chamber in lock.chambers:
        counts = {
            "register": chamber.register_count,
            "volume_ml": chamber.volume_ml,
            "enabled": int(chamber.enabled),
        }
        yield from _line("wl_chamber", {**tags, "chamber": str(chamber.number)}, counts, at_ns)


def _gateway_fields(gateway: GatewayState) -> Fields:
    newest, confirmed = gateway.newest_page, gateway.committed_through
    return {
        "online": int(gateway.online),
        "incarnation": gateway.incarnation,
        "locks": len(gateway.locks),
        "alarms": len(gateway.alarms),
        "unconfirmed_pages": None if newest is None or confirmed is None else max(0, newest - confirmed),
    }


def _machine_lines(tags: Mapping[str, str], telemetry: Telemetry, heard_ms: int, at_ns: int) -> Iterator[str]:
    oldest = telemetry.oldest_unsent_at
    fields = {
        "cpu_permille": telemetry.cpu_permille,
        "memory_rss_bytes": telemetry.memory_rss_bytes,
        "disk_free_bytes": telemetry.disk_free_bytes,
        "spool_bytes": telemetry.spool_bytes,
        "spool_pages": telemetry.spool_pages,
        "unsent_pages": telemetry.unsent_pages,
        "oldest_unsent_s": 0 if oldest is None else max(0, (heard_ms - to_ms(oldest)) // 1000),
        "clock_disciplined": int(telemetry.clock == "ntp"),
    }
    yield from _line("wl_machine", tags, {**fields, **_health_fields(telemetry.machine)}, at_ns)
    for bus in telemetry.buses:
        counts = {
            "requests": bus.requests,
            "timeouts": bus.timeouts,
            "late_or_foreign_replies": bus.late_or_foreign_replies,
            "crc_errors": bus.crc_errors,
            "exceptions": bus.exceptions,
            "breakers_open": len(bus.breaker_open_units),
            "wire_busy_permille": bus.wire_busy_permille,
        }
        yield from _line("wl_bus", {**tags, "bus": bus.bus}, counts, at_ns)


def _health_fields(machine: MachineHealth | None) -> Fields:
    if machine is None:
        return {}
    return {
        "uptime_s": machine.uptime_s,
        "load_permille": machine.load_permille,
        "memory_available_bytes": machine.memory_available_bytes,
        "temperature_dc": machine.temperature_dc,
        "undervoltage": _flag(machine.undervoltage),
        "disk_total_bytes": machine.disk_total_bytes,
        "disk_free_permille": machine.disk_free_permille,
        "disk_read_only": _flag(machine.disk_read_only),
        "disk_wear_permille": machine.disk_wear_permille,
        "disk_written_bytes": machine.disk_written_bytes,
        "saving": len(machine.saving),
    }


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _stamp(unix_s: int, seq: int) -> int:
    """Return the nanoseconds at which record `seq` stands within its second: …000 ms, …001 ms, as its number ends."""
    return unix_s * 1_000_000_000 + seq % 1000 * _NS_PER_MS + seq // 1000 % _NS_PER_MS


def _line(measurement: str, tags: Mapping[str, str], fields: Fields, at_ns: int) -> Iterator[str]:
    """Yield the line, none where there is no field. What doesn't fit a whole number of 64 bits is left out."""
    values = [
        f"{name}={value}i"
        for name, value in fields.items()
        if value is not None and _INT_MIN <= value <= _INT_MAX
    ]
    if values:
        series = ",".join([measurement, *(f"{name}={_escape(value)}" for name, value in tags.items())])
        yield f"{series} {','.join(values)} {at_ns}"


def _escape(tag: str) -> str:
    """Return a tag's value as it may stand in a line: names of buses are free text."""
    printable = "".join(letter if letter.isprintable() else "_" for letter in tag).replace("\\", "/")
    for letter in (",", "=", " "):
        printable = printable.replace(letter, f"\\{letter}")
    return printable or "-"


def lines_of(entries: Sequence[Entry], seen: Sequence[Observation]) -> list[str]:
    """Return the points of records and reports."""
    lines = [line for entry in entries for line in entry_lines(entry)]
    lines += [line for each in seen for line in observation_lines(each)]
    return lines
