"""What figures of machine, clock, certificate, orders, service and custody mean: tables, each line a fault."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config
from edge_agent.local.snapshot import BrokerSight, GatewaySight, LockSight, Snapshot, SpoolSight
from edge_agent.machine.storage import Mount
from edge_agent.technician.doctor import examination
from edge_agent.technician.doctor.custody_verdicts import judge_custody, judge_locks
from edge_agent.technician.doctor.examination import Examination, Options
from edge_agent.technician.doctor.findings import Finding, Level, has_trouble, trouble
from edge_agent.technician.doctor.gateway_looking import judge_service
from edge_agent.technician.doctor.machine_verdicts import (
    MachineFigures,
    judge_clock,
    judge_machine,
    with_agents_view,
)
from edge_agent.technician.doctor.trust_verdicts import CertificateFigures, judge_certificate, judge_orders
from tests.unit.edge_agent.configurations import GOOD, write
from wastelock.messages import LockState, MachineHealth

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WELL = MachineHealth(
    model="Raspberry Pi 4", uptime_s=864_000, load_permille=200, memory_available_bytes=1 << 30, temperature_dc=480,
    undervoltage=False, undervoltage_seen=False, disk_total_bytes=32 << 30, disk_free_permille=600,
    disk_read_only=False, disk_wear_permille=100, disk_written_bytes=4 << 30,
)  # fmt: skip
EXT4 = Mount("/", "179:2", "ext4", "/dev/mmcblk0p2", frozenset({"rw", "noatime"}))


@pytest.fixture
def gateway_config(tmp_path: Path) -> AgentConfig:
    return load_config(write(tmp_path, GOOD), check_files=False)


def troubles(found: list[Finding]) -> list[str]:
    for finding in found:
        if finding.level is Level.TROUBLE:
            assert finding.what and (finding.remedy or finding.area == "configuration"), finding
    return [finding.name for finding in found if finding.level is Level.TROUBLE]


def notices(found: list[Finding]) -> list[str]:
    return [finding.name for finding in found if finding.level is Level.NOTICE]


def machine(mount: Mount = EXT4, card: str | None = None, **changes: Any) -> MachineFigures:
    return MachineFigures("/var/lib/wastelock", WELL.model_copy(update=changes), mount, card)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (machine(), []),
        (machine(undervoltage=True), ["power_low"]),
        (machine(temperature_dc=840), ["machine_hot"]),
        (machine(memory_available_bytes=1 << 20), ["memory_low"]),
        (machine(disk_free_permille=10), ["disk_low"]),
        (machine(disk_read_only=True), ["disk_read-only"]),
        (machine(disk_wear_permille=900), ["disk_worn"]),
        (machine(load_permille=9000), []),  # for a moment that is nothing: the agent tells where it lasts
        (machine(replace(EXT4, kind="tmpfs")), ["spool_in_memory"]),
        (machine(replace(EXT4, kind="nfs4")), ["spool_on_network"]),
        (machine(replace(EXT4, kind="vfat")), ["spool_without_journal"]),
        (machine(replace(EXT4, options=frozenset({"rw", "barrier=0"}))), ["unsafe_mount"]),
    ],
)
def test_each_fault_of_the_machine_is_told(figures: MachineFigures, expected: list[str]) -> None:
    assert troubles(judge_machine(figures)) == expected


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (machine(undervoltage_seen=True), ["power_was_low"]),
        (machine(replace(EXT4, kind="overlay")), ["spool_on_overlay"]),
        (machine(replace(EXT4, options=frozenset({"rw", "strictatime"}))), ["writes_when_read"]),
        (machine(disk_written_bytes=400 << 30), ["much_written"]),
        (machine(card="mmcblk0: card SC32G, made 03/2022"), ["sd_card"]),
    ],
)
def test_what_is_worth_knowing_of_the_machine_is_no_trouble(
    figures: MachineFigures, expected: list[str]
) -> None:
    found = judge_machine(figures)
    assert notices(found) == expected and not has_trouble(found)


def test_what_only_the_agent_can_know_counts() -> None:
    seen = MachineHealth(undervoltage=True, undervoltage_seen=True, disk_read_only=True, temperature_dc=999)
    found = judge_machine(with_agents_view(machine(), seen))
    assert troubles(found) == ["power_low", "disk_read-only"]
    assert judge_machine(with_agents_view(machine(), None)) == judge_machine(machine())


def test_what_the_agent_has_raised_already_isnt_told_twice() -> None:
    assert troubles(judge_machine(machine(undervoltage=True), frozenset({"power low"}))) == []


@pytest.mark.parametrize(
    ("trust", "offsets", "wrong", "notice"),
    [
        ("ntp", [1, -2, 0], [], []),
        ("unset", [], ["clock_unset"], []),
        ("rtc", [1], [], ["clock_alone"]),
        ("ntp", [-3600, -3605, -3598], ["clock_wrong"], []),
        ("ntp", [-3600, 2, 1], [], []),  # one lock's own clock
        ("ntp", [-3600, 400], [], []),
        ("ntp", [-3600], [], []),
    ],
)
def test_a_clock_that_all_locks_contradict_is_suspected(
    trust: Any, offsets: list[int], wrong: list[str], notice: list[str]
) -> None:
    found = judge_clock(trust, "timesyncd", offsets)
    assert (troubles(found), notices(found)) == (wrong, notice)


def certificate(**changes: Any) -> CertificateFigures:
    made_at = NOW - timedelta(days=10)
    figures = CertificateFigures(
        "/id", "gw-0001", made_at, made_at + timedelta(days=90), made_at + timedelta(days=60)
    )
    return replace(figures, **changes)


@pytest.mark.parametrize(
    ("figures", "wrong", "notice"),
    [
        (certificate(), [], []),
        (certificate(common_name="gw-0002"), ["certificate_of_another"], []),
        (certificate(not_after=NOW), ["certificate_expired"], []),
        (certificate(not_before=NOW + timedelta(hours=1)), ["certificate_not_yet"], []),
        (
            certificate(not_before=NOW - timedelta(days=85), not_after=NOW + timedelta(days=5)),
            ["certificate_expires"], [],
        ),
        (certificate(renewal_due_at=NOW - timedelta(days=3)), [], ["renewal_late"]),
        (certificate(renewal_due_at=NOW - timedelta(days=1)), [], []),
        (certificate(renewal_due_at=None), [], []),
    ],
)  # fmt: skip
def test_a_certificate_is_judged_by_name_and_days(
    figures: CertificateFigures, wrong: list[str], notice: list[str]
) -> None:
    found = judge_certificate(figures, "gw-0001", NOW)
    assert (troubles(found), notices(found)) == (wrong, notice)


def test_orders_without_keys_are_refused_and_that_is_said() -> None:
    assert judge_orders(2, None).level is Level.GOOD
    assert judge_orders(0, None).name == "no_order_keys"
    broken = judge_orders(0, "its proof doesn't hold; remedy: renew the identity")
    assert (broken.name, broken.evidence, broken.remedy) == (
        "order_keys_unusable", "its proof doesn't hold", "renew the identity",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "wrong", "notice"),
    [
        ({}, [], []),
        ({"ActiveState": "failed"}, ["service_down"], []),
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, ["configuration_refused"], []),
        ({"NRestarts": "12"}, ["restarts"], []),
        ({"UnitFileState": "disabled"}, [], ["not_enabled"]),
        ({"LoadState": "not-found"}, [], ["no_service"]),
    ],
)
def test_what_systemd_says_of_the_agent(unit: dict[str, str], wrong: list[str], notice: list[str]) -> None:
    good = {
        "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0",
        "Result": "success", "ExecMainStatus": "0",
    }  # fmt: skip
    found = judge_service(good | unit)
    assert (troubles(found), notices(found)) == (wrong, notice)


def snapshot(
    via: Any = "agent",
    connected: bool = True,
    stuck: tuple[str, ...] = (),
    alarms: tuple[str, ...] = (),
    state: LockState | None = None,
    **spool: Any,
) -> Snapshot:
    gateway = GatewaySight(
        gateway="gw-0001", site="site-1", via=via, pid=4711, software="1", clock="ntp", stuck_loops=stuck
    )
    broker = BrokerSight(
        host="b",
        port=1,
        connected=connected,
        sessions=1,
        trouble=None,
        pages_sent=1,
        pages_received=1,
        pages_lost=0,
    )
    known = {
        "path": "/spool.db",
        "max_bytes": 512 << 20,
        "used_bytes": 1 << 20,
        "pages": 9,
        "committed_through": 9,
    }
    locks = () if state is None else (
        LockSight(lock=state.lock, bus="yard", unit=1, driver="wlc-1", state=state),
    )  # fmt: skip
    return Snapshot(
        at=NOW, clock_s=1.0, gateway=gateway, broker=broker if via == "agent" else None,
        spool=SpoolSight.model_validate(known | spool), alarms=alarms, locks=locks,
    )  # fmt: skip


def lock(**changes: Any) -> LockState:
    return LockState(lock="1f00a1", driver="wlc-1", at=NOW, reachable=True, **changes)


WAITING: dict[str, Any] = {"unreceipted_pages": 40, "oldest_unreceipted_at": NOW - timedelta(hours=2)}


@pytest.mark.parametrize(
    ("seen", "wrong", "notice"),
    [
        (snapshot(), [], []),
        (snapshot(via="direct"), [], ["agent_stopped"]),
        (snapshot(stuck=("poller yard",)), ["agent_stuck"], []),
        (snapshot(alarms=("spool full: no room: make some",)), ["spool_full"], []),
        (snapshot(**WAITING), ["receipts_missing"], []),
        (snapshot(connected=False, **WAITING), [], ["receipts_wait"]),
        (snapshot(unreceipted_pages=2, oldest_unreceipted_at=NOW - timedelta(minutes=2)), [], []),
        (snapshot(used_bytes=450 << 20), ["spool_filling"], []),
        (snapshot(trouble="the file is damaged"), ["spool_unreadable"], []),
        (snapshot(trouble="not there yet: the agent makes it"), [], ["no_spool"]),
        (snapshot(state=lock()), [], []),
        (snapshot(state=lock(faults=("flap_open",))), ["lock_fault"], []),
        (snapshot(state=lock(problem="the list is too long")), ["lock_problem"], []),
        (snapshot(state=lock(overwritten_records=3)), ["records_overwritten"], []),
        (snapshot(state=lock(problem="no answer").model_copy(update={"reachable": False})), [], []),
    ],
)
def test_what_a_snapshot_says_of_the_way_of_the_pours(
    seen: Snapshot, wrong: list[str], notice: list[str]
) -> None:
    found = [*judge_custody(seen), *judge_locks(seen, [])]
    assert (troubles(found), notices(found)) == (wrong, notice)


def test_a_lock_of_which_its_buss_verdict_tells_isnt_told_of_twice() -> None:
    seen = snapshot(state=lock(problem="lock 1f00b7 answers where 1f00a1 is configured"))
    of_bus = trouble("bus yard", "wrong_lock", "another lock answers as unit 1 (1f00a1): 1f00b7", "e", "r")
    assert judge_locks(seen, [of_bus]) == []
    assert [finding.name for finding in judge_locks(seen, [])] == ["lock_problem"]


def test_a_long_backlog_that_moves_is_no_trouble_and_one_that_stands_still_is() -> None:
    """480 of 9,000 pages have come after an outage of 30 h: the oldest that waits is still old for hours."""
    old: dict[str, Any] = {"unreceipted_pages": 8520, "oldest_unreceipted_at": NOW - timedelta(hours=30)}
    before = snapshot(committed_through=480, **old)
    later = snapshot(committed_through=640, **old)
    assert troubles(judge_custody(later, before)) == []
    assert troubles(judge_custody(before, before)) == ["receipts_missing"]


def test_a_receipt_is_waited_for_before_the_ledger_is_called_silent(
    gateway_config: AgentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "_LOOK_AGAIN_S", 0.0)
    looks = [snapshot(committed_through=page, **WAITING) for page in (9, 9, 12, 15)]
    access = SimpleNamespace(snapshot=lambda: looks.pop(0))
    examined = Examination(gateway_config, Options(), lambda _: None, threading.Event())
    first = looks.pop(0)
    assert examined._await_receipt(access, first).spool.committed_through == 12
    on_its_way = snapshot()
    assert examined._await_receipt(access, on_its_way) is on_its_way
    assert len(looks) == 1, "nobody looks again where nothing is late"
