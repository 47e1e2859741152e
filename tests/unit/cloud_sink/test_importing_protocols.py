"""`cloud-sink import` of protocols: signed by the gateway, checked against the ledger, moving locks along."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.operating import Author, Operations
from cloud_sink.operator_events import SubjectKind
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from wastelock.page import SigningKey
from wastelock.protocol import ChamberReading, Protocol, ProtocolKind, Reading, Source
from wastelock.signed_file import seal_file

AT = datetime(2026, 11, 25, 19, 0, tzinfo=UTC)
SOMEBODY = Author("planner", "the site's plan")

# What goes through the same statements needn't be tried on both databases.
ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


class Cloud:
    def __init__(self, ledger: Ledger, directory: Path, gateway: FakeGateway) -> None:
        self.directory = directory
        self.gateway = gateway
        self.config = directory / "cloud-sink.toml"
        self.config.write_text(f'[ledger]\nurl = "{ledger.url}"\n')
        self.operations = Operations(ledger.url, ledger.clock)

    def write(self, protocol: Protocol, key: SigningKey | None = None, name: str = "it.wlprotocol") -> Path:
        signed = seal_file("protocol", protocol, self.gateway.topics.protocol_file, key or self.gateway.key)
        (self.directory / name).write_bytes(signed.to_json())
        return self.directory / name

    def take(self, protocol: Protocol, code: int = 0) -> dict[str, Any]:
        file = self.write(protocol)
        result = CliRunner().invoke(app, ["import", str(file), "--config", str(self.config), "--json"])
        assert result.exit_code == code, result.output
        (item,) = json.loads(result.stdout)
        told: dict[str, Any] = item
        return told


@pytest.fixture
def cloud(ledger: Ledger, tmp_path: Path, gateway: FakeGateway) -> Any:
    cloud = Cloud(ledger, tmp_path, gateway)
    yield cloud
    cloud.operations.close()


def reading(
    newest_seq: int, register: int, lock: str = "1f00a1", source: Source = Source.CONTROLLER
) -> Reading:
    chambers = (ChamberReading(number=1, volume_ml=5000, register_count=register),)
    return Reading(
        lock=lock, driver="wlc-1", source=source, at=AT, epoch=1, newest_seq=newest_seq, chambers=chambers
    )  # fmt: skip


def protocol(kind: ProtocolKind = ProtocolKind.COMMISSIONING, **changes: Any) -> Protocol:
    fields: dict[str, Any] = {
        "kind": kind, "reference": "gw-0001-20261125T190000-1f00a1", "site": "estate-1", "gateway": "gw-0001",
        "software": "0.1.0", "began_at": AT, "ended_at": AT, "technician": "K. Ober", "passed": True, **changes,
    }  # fmt: skip
    return Protocol(**fields)


def test_a_lock_that_has_passed_is_in_service_from_then_on_once(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    cloud.operations.describe_lock("1f00a1", {"site": "estate-1"}, SOMEBODY)
    ledger.take(gateway.seal(lock.pours(8)))
    paper = protocol(opening=(reading(4, 4),), closing=(reading(8, 8),))
    item = cloud.take(paper)
    assert (item["moved"], item["agreeing"], item["known"]) == ({"1f00a1": "in_service"}, 2, False)
    assert cloud.operations.has_note(SubjectKind.LOCK, "1f00a1", "protocol gw-0001-20261125T190000-1f00a1:")
    again = cloud.take(paper)
    assert (again["moved"], again["agreeing"], again["known"]) == ({}, 2, True)


@ON_SQLITE
def test_a_planned_lock_goes_by_way_of_commissioning_and_no_further_where_it_has_not_passed(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    cloud.operations.describe_lock("1f00a1", {"site": "estate-1"}, SOMEBODY)
    cloud.operations.move("1f00a1", "commissioning", SOMEBODY)
    cloud.operations.move("1f00a1", "planned", SOMEBODY)
    assert cloud.operations.lifecycle("1f00a1").value == "planned"
    failed = protocol(closing=(reading(0, 0),), passed=False, reference="first")
    assert cloud.take(failed)["moved"] == {"1f00a1": "commissioning"}
    ledger.take(gateway.seal(lock.pours(2)))
    assert cloud.take(protocol(closing=(reading(2, 2),)))["moved"] == {"1f00a1": "in_service"}


@ON_SQLITE
def test_registers_that_differ_from_the_ledgers_are_told(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(8)))
    item = cloud.take(protocol(opening=(reading(4, 4),), closing=(reading(8, 9),)), code=1)
    assert item["differing"] == [
        "lock 1f00a1 chamber 1: the protocol has register 9 at record 8, the ledger 8: have the controller checked "
        "(`cloud-sink reconcile`)"
    ]


@ON_SQLITE
def test_what_the_ledger_does_not_have_yet_is_compared_when_it_comes(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(3)))
    paper = protocol(closing=(reading(5, 5),))
    item = cloud.take(paper, code=1)
    assert "record 5 of epoch 1 isn't in the ledger yet (newest: 3)" in item["waiting"][0]
    assert item["moved"] == {"1f00a1": "in_service"}
    ledger.take(gateway.seal(lock.pours(2)))
    assert cloud.take(paper)["agreeing"] == 1


@ON_SQLITE
def test_a_decommissioned_lock_and_a_swapped_controller_move_as_the_protocol_says(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    cloud.operations.describe_lock("1f00a1", {"site": "estate-1", "label": "Haus 1"}, SOMEBODY)
    ledger.take(gateway.seal(lock.pours(2)))
    swap = protocol(
        ProtocolKind.CONTROLLER_REPLACEMENT,
        reference="swap",
        closing=(reading(2, 2),),
        opening=(reading(0, 0, lock="1f00b1"),),
    )
    assert cloud.take(swap)["moved"] == {"1f00b1": "commissioning", "1f00a1": "decommissioned"}
    described = cloud.operations.description("1f00b1")
    assert described is not None and described.label == "Haus 1", "it stands where the old one stood"
    away = protocol(ProtocolKind.DECOMMISSIONING, reference="away", closing=(reading(0, 0, lock="1f00b1"),))
    assert cloud.take(away)["moved"] == {"1f00b1": "decommissioned"}


@ON_SQLITE
def test_a_gateways_replacement_is_noted_and_its_registers_are_compared(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(4)))
    paper = protocol(
        ProtocolKind.GATEWAY_REPLACEMENT,
        closing=(reading(2, 2, source=Source.SPOOL),),
        opening=(reading(4, 4),),
    )
    item = cloud.take(paper)
    assert (item["moved"], item["agreeing"]) == ({}, 1)
    assert cloud.operations.has_note(SubjectKind.GATEWAY, "estate-1/gw-0001", f"protocol {paper.reference}:")


@ON_SQLITE
def test_a_lock_that_nobody_knows_waits_to_be_described(cloud: Cloud) -> None:
    item = cloud.take(protocol(closing=(reading(0, 0, lock="1f00ff"),)), code=1)
    assert "describe it first" in item["waiting"][0]


@ON_SQLITE
def test_protocols_that_the_gateway_has_not_signed_are_refused(cloud: Cloud, gateway: FakeGateway) -> None:
    stranger = FakeGateway("gw-0001", seed=77).key
    true = cloud.write(protocol(closing=(reading(0, 0),)))
    changed = cloud.directory / "changed.wlprotocol"
    changed.write_bytes(
        true.read_bytes().replace(b'passed\\":true', b'passed\\":null').replace(b"K. Ober", b"K. Uber")
    )
    forged = cloud.write(protocol(closing=(reading(0, 0),)), stranger, "forged.wlprotocol")
    foreign = cloud.write(protocol(gateway="gw-0099"), name="foreign.wlprotocol")
    for file in (changed, forged, foreign):
        result = CliRunner().invoke(app, ["import", str(file), "--config", str(cloud.config)])
        assert result.exit_code == 65, result.output


@ON_SQLITE
def test_a_gateway_does_not_move_a_lock_of_another_site(cloud: Cloud) -> None:
    cloud.operations.describe_lock("1f00a9", {"site": "elsewhere"}, SOMEBODY)
    cloud.operations.move("1f00a9", "commissioning", SOMEBODY)
    cloud.operations.move("1f00a9", "in_service", SOMEBODY)
    away = protocol(ProtocolKind.DECOMMISSIONING, closing=(reading(0, 0, lock="1f00a9"),))
    assert "belongs to site elsewhere, and was never heard at estate-1" in cloud.take(away, 1)["waiting"][0]
    assert cloud.operations.lifecycle("1f00a9").value == "in_service"
    swap = protocol(
        ProtocolKind.CONTROLLER_REPLACEMENT,
        closing=(reading(0, 0, lock="1f00a9"),),
        opening=(reading(0, 0, lock="1f00b9"),),
    )
    cloud.take(swap, 1)
    assert cloud.operations.description("1f00b9") is None, "it doesn't inherit a place in another site"


@ON_SQLITE
def test_a_lock_that_was_heard_through_a_gateway_is_moved_by_it_wherever_it_is_described(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    cloud.operations.describe_lock("1f00a1", {"site": "elsewhere"}, SOMEBODY)
    ledger.take(gateway.seal(lock.pours(2)))
    away = protocol(ProtocolKind.DECOMMISSIONING, closing=(reading(2, 2),))
    assert cloud.take(away)["moved"] == {"1f00a1": "decommissioned"}


@ON_SQLITE
def test_protocols_that_come_late_and_out_of_order_leave_a_lock_where_the_newest_says(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    cloud.operations.describe_lock("1f00a1", {"site": "estate-1"}, SOMEBODY)
    ledger.take(gateway.seal(lock.pours(8)))
    older, newer = ledger.clock() - timedelta(days=90), ledger.clock() - timedelta(days=30)
    away = protocol(ProtocolKind.DECOMMISSIONING, reference="away", ended_at=newer, closing=(reading(8, 8),))
    tested = protocol(reference="tested", ended_at=older, closing=(reading(4, 4),))
    assert cloud.take(away)["moved"] == {"1f00a1": "decommissioned"}
    late = cloud.take(tested)
    assert (late["moved"], len(late["overtaken"])) == ({}, 1)
    assert "(protocol away), after this protocol was made" in late["overtaken"][0]
    assert cloud.operations.lifecycle("1f00a1").value == "decommissioned"


@ON_SQLITE
def test_protocols_that_come_late_in_their_order_all_count(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(8)))
    tested = protocol(
        reference="tested", ended_at=ledger.clock() - timedelta(days=9), closing=(reading(4, 4),)
    )
    away = protocol(
        ProtocolKind.DECOMMISSIONING,
        reference="away",
        ended_at=ledger.clock() - timedelta(days=2),
        closing=(reading(8, 8),),
    )
    assert cloud.take(tested)["moved"] == {"1f00a1": "in_service"}
    assert cloud.take(away)["moved"] == {"1f00a1": "decommissioned"}


@ON_SQLITE
def test_a_lock_that_comes_back_after_it_was_taken_down_is_in_service_with_its_next_protocol(
    cloud: Cloud, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(8)))
    cloud.operations.move("1f00a1", "decommissioned", SOMEBODY)
    back = protocol(ended_at=ledger.clock() + timedelta(days=1), closing=(reading(8, 8),))
    assert cloud.take(back)["moved"] == {"1f00a1": "in_service"}
