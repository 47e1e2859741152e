"""Points of time series: what each says, where it stands in time, and what is never in one."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.ledger.observations import Observation, ReportKind
from cloud_sink.projections.timeseries_points import (
    QualityPoint,
    entry_lines,
    lines_of,
    observation_lines,
    quality_lines,
)
from cloud_sink.reading import Entry
from tests.support.fake_gateway import START
from wastelock.messages import BusStatistics, ChamberState, GatewayState, LockState, MachineHealth, Telemetry
from wastelock.record import ClockStatus, Flag, Kind, PourResult
from wastelock.registers import Fault

PSEUDONYM = "8d7f3c0011223344556677889900aabb"
BEGAN_S = int(START.timestamp())
POUR = Entry(
    position=1, lock="1f00a1", epoch=1, seq=7, kind=Kind.POUR, result=0, chamber=2, flags=ClockStatus.SET,
    volume_ml=5000, weight_g=None, duration_ds=83, register_after=17, boot=1, began_clock_s=BEGAN_S, began_at=START,
    credential=PSEUDONYM, unverified=False, mac_held=True, read_at=START + timedelta(seconds=3), clock_offset_s=0,
    site="estate-1", gateway="gw-0001", gateway_clock="ntp", journal="j", page=1,
    committed_at=START + timedelta(milliseconds=4200),
)  # fmt: skip
LOCK = LockState(
    lock="1f00a1", driver="wlc-1", at=START, reachable=True, faults=("door_open", "battery_low"), fill_permille=420,
    battery_mv=3550, temperature_dc=-45, clock_offset_s=-2, newest_seq=905, spooled_seq=900, unverified_records=1,
    chambers=(ChamberState(number=1, volume_ml=5000, register_count=17, enabled=True),),
)  # fmt: skip
MACHINE = Telemetry(
    gateway="gw-0001", at=START, cpu_permille=120, spool_bytes=4096, spool_pages=3, unsent_pages=2,
    oldest_unsent_at=START - timedelta(seconds=30), clock="ntp",
    buses=(
        BusStatistics(
            bus="rs485, cellar=1", requests=100, timeouts=2, late_or_foreign_replies=0, crc_errors=1, exceptions=0,
            breaker_open_units=(4,),
        ),
    ),
)  # fmt: skip
HEALTH = MachineHealth(
    model="Raspberry Pi 4 Model B Rev 1.5", uptime_s=86_461, load_permille=300, memory_available_bytes=1_204_456,
    temperature_dc=483, undervoltage=True, disk_total_bytes=31_000_000_000, disk_free_permille=620,
    disk_read_only=False, disk_wear_permille=200, disk_written_bytes=2**30, clock_source="timesyncd",
    saving=("telemetry", "states"),
)  # fmt: skip


def seen(state: GatewayState | LockState | Telemetry, number: int = 7) -> Observation:
    kind = {GatewayState: ReportKind.GATEWAY, LockState: ReportKind.LOCK, Telemetry: ReportKind.TELEMETRY}
    lock = state.lock if isinstance(state, LockState) else None
    return Observation(number, START, kind[type(state)], "estate-1", "gw-0001", lock, None, state)


def test_a_pour_is_a_point_of_its_chamber_and_one_of_its_lock() -> None:
    stamp = BEGAN_S * 10**9 + 7 * 10**6
    assert list(entry_lines(replace(POUR, weight_g=1200))) == [
        f"wl_record,site=estate-1,lock=1f00a1,kind=pour count=1i {stamp}",
        "wl_pour,site=estate-1,lock=1f00a1,chamber=2,result=complete volume_ml=5000i,weight_g=1200i,"
        f"duration_ms=8300i,register=17i,latency_ms=4200i {stamp}",
    ]


def test_a_fault_is_active_from_the_record_that_raises_it_to_the_one_that_clears_it() -> None:
    for kind, active in ((Kind.FAULT_RAISED, 1), (Kind.FAULT_CLEARED, 0)):
        fault = replace(POUR, kind=kind, chamber=0, duration_ds=Fault.DOOR_OPEN)
        line = list(entry_lines(fault))[1]
        assert line.startswith(f"wl_fault,site=estate-1,lock=1f00a1,fault=door_open active={active}i ")


@pytest.mark.parametrize(
    "changes",
    [
        {"flags": ClockStatus.NEVER_SET, "began_clock_s": 40},
        {"flags": ClockStatus.LOST, "began_clock_s": 4_000_000_000},
        {"clock_offset_s": 86_400 * 400},
    ],
)
def test_a_record_whose_clock_cant_be_trusted_stands_where_it_was_read(changes: dict[str, int]) -> None:
    pour = replace(POUR, **changes)  # type: ignore[arg-type]  # all of these fields are integers
    for line in entry_lines(pour):
        assert line.endswith(f" {(BEGAN_S + 3) * 10**9 + 7 * 10**6}")
        assert "latency_ms" not in line


def test_of_a_record_whose_crc_never_held_only_is_told_that_it_came() -> None:
    [line] = entry_lines(replace(POUR, unverified=True, began_clock_s=1))
    assert line.startswith("wl_record,site=estate-1,lock=1f00a1,kind=unverified count=1i ")


@pytest.mark.parametrize(
    ("changes", "tag"),
    [
        ({"result": 77}, "result=other"),
        ({"kind": 99}, "kind=other"),
        ({"kind": Kind.FAULT_RAISED, "duration_ds": 60_000}, "fault=other"),
    ],
)
def test_numbers_without_a_name_make_no_series_of_their_own(changes: dict[str, int], tag: str) -> None:
    assert tag in "\n".join(entry_lines(replace(POUR, **changes)))  # type: ignore[arg-type]


def test_a_locks_report_is_a_point_of_it_and_one_of_each_chamber() -> None:
    stamp = BEGAN_S * 10**9 + 7
    assert list(observation_lines(seen(LOCK))) == [
        "wl_lock,site=estate-1,lock=1f00a1 reachable=1i,faults=2i,fill_permille=420i,battery_mv=3550i,"
        "temperature_dc=-45i,clock_offset_s=-2i,unread_records=5i,unverified_records=1i,overwritten_records=0i "
        f"{stamp}",
        f"wl_chamber,site=estate-1,lock=1f00a1,chamber=1 register=17i,volume_ml=5000i,enabled=1i {stamp}",
    ]


def test_a_gateways_report_tells_whether_it_is_there_and_how_much_waits_in_it() -> None:
    state = GatewayState(
        gateway="gw-0001", online=True, incarnation=3, newest_page=50, committed_through=48, locks=("1f00a1",)
    )
    [line] = observation_lines(seen(state))
    assert line.startswith(
        "wl_gateway,site=estate-1,gateway=gw-0001 online=1i,incarnation=3i,locks=1i,alarms=0i,unconfirmed_pages=2i "
    )


def test_telemetry_is_a_point_of_the_machine_and_one_of_each_bus() -> None:
    machine, bus = observation_lines(seen(MACHINE))
    assert machine.startswith(
        "wl_machine,site=estate-1,gateway=gw-0001 cpu_permille=120i,spool_bytes=4096i,spool_pages=3i,unsent_pages=2i,"
        "oldest_unsent_s=30i,clock_disciplined=1i "
    )
    assert bus.startswith(
        r"wl_bus,site=estate-1,gateway=gw-0001,bus=rs485\,\ cellar\=1 requests=100i,timeouts=2i,"
    )


def test_the_machines_health_goes_with_its_telemetry_as_whole_numbers() -> None:
    [machine, _] = observation_lines(seen(MACHINE.model_copy(update={"machine": HEALTH})))
    assert (
        "uptime_s=86461i,load_permille=300i,memory_available_bytes=1204456i,temperature_dc=483i,undervoltage=1i,"
        "disk_total_bytes=31000000000i,disk_free_permille=620i,disk_read_only=0i,disk_wear_permille=200i,"
        "disk_written_bytes=1073741824i,saving=2i "
    ) in machine


def test_a_number_that_no_server_takes_is_left_out_and_the_rest_stays() -> None:
    absurd = MACHINE.model_copy(update={"spool_bytes": 2**63, "buses": ()})
    [line] = observation_lines(seen(absurd))
    assert "spool_bytes" not in line
    assert "spool_pages=3i" in line


def test_quality_tells_what_is_missing_and_how_late_pours_came() -> None:
    point = QualityPoint("estate-1", "1f00a1", BEGAN_S * 1000, 995, 1000, 2, 10, 4, 8000, 3000, 6)
    nothing = QualityPoint("estate-1", "1f00a1", BEGAN_S * 1000, 0, 0, 1)
    assert list(quality_lines([point, nothing])) == [
        "wl_quality,site=estate-1,lock=1f00a1 records=995i,missing=5i,completeness_permille=995i,disputes=2i,pours=10i,"
        f"doubtful_clocks=6i,latency_mean_ms=2000i,latency_max_ms=3000i {BEGAN_S * 10**9}",
        "wl_quality,site=estate-1,lock=1f00a1 records=0i,missing=0i,disputes=1i,pours=0i,doubtful_clocks=0i "
        f"{BEGAN_S * 10**9}",
    ]


def test_no_point_names_a_person() -> None:
    service = replace(POUR, flags=ClockStatus.SET | Flag.SERVICE, result=PourResult.GIVEN_UP)
    denied = replace(POUR, kind=Kind.ACCESS_DENIED)
    text = "\n".join(lines_of([POUR, service, denied], [seen(LOCK), seen(MACHINE)]))
    assert PSEUDONYM not in text
    assert "credential" not in text


@given(
    first=st.integers(0, 2**32 - 1000),
    steps=st.lists(st.integers(1, 3), min_size=1, max_size=40),
    at=st.integers(0, 2**32 - 1),
)
def test_records_of_one_second_stand_at_different_milliseconds(first: int, steps: list[int], at: int) -> None:
    stamps, seq = [], first
    for step in steps:
        seq += step
        entry = replace(POUR, seq=seq, began_clock_s=at, read_at=datetime.fromtimestamp(at, UTC))
        stamps.append(int(next(entry_lines(entry)).rsplit(" ", 1)[1]))
    assert len({stamp // 10**6 for stamp in stamps}) == len(stamps)
    assert {stamp // 10**9 for stamp in stamps} == {at}


def every_line() -> list[str]:
    """Return lines of every measurement, with every field."""
    lock = LOCK.model_copy(update={"clock_status": 1, "access_list_version": 9})
    machine = MACHINE.model_copy(
        update={
            "memory_rss_bytes": 1,
            "disk_free_bytes": 1,
            "machine": HEALTH,
            "buses": (MACHINE.buses[0].model_copy(update={"wire_busy_permille": 1}),),
        }
    )
    gateway = GatewayState(
        gateway="gw-0001", online=True, incarnation=3, newest_page=50, committed_through=48
    )
    records = [replace(POUR, weight_g=1), replace(POUR, kind=Kind.FAULT_RAISED, duration_ds=1)]
    quality = QualityPoint("estate-1", "1f00a1", 0, 1, 1, 0, 1, 1, 1, 1, 0)
    return [*lines_of(records, [seen(lock), seen(machine), seen(gateway)]), *quality_lines([quality])]


def test_the_handbook_lists_each_measurement_with_its_tags_and_fields() -> None:
    page = (Path(__file__).parents[3] / "docs" / "time-series.md").read_text()
    rows = re.findall(r"^\| `(wl_\w+)` \| ([\w, ]+) \| ([\w, ]+) \|", page, re.MULTILINE)
    documented = {name: (set(tags.split(", ")), set(fields.split(", "))) for name, tags, fields in rows}
    written: dict[str, tuple[set[str], set[str]]] = {}
    for line in every_line():
        series, fields, _ = line.replace("\\ ", "_").split(" ")
        measurement, *tags = series.replace("\\,", "_").split(",")
        known = written.setdefault(measurement, (set(), set()))
        known[0].update(tag.partition("=")[0] for tag in tags)
        known[1].update(each.partition("=")[0] for each in fields.split(","))
    assert written == documented
