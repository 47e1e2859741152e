"""`edge-agent decommission` and `replace`: what is taken out or swapped leaves no pour behind."""

import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.commands import app
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import NotReady
from edge_agent.technician.custody_waiting import Waiting
from edge_agent.technician.decommissioning import Decommissioning
from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.lock_rig import DirectRegisters, HandClock
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import keep_all
from tests.unit.edge_agent.ledger import Ledger
from tests.unit.edge_agent.technician.two_locks import ONE, TWO, Site
from wastelock.record import Kind
from wastelock.registers import STATUS_ADDRESS


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The agent doesn't run."""
    port = free_port()
    site = Site(tmp_path, free_port(), port)
    with TcpPeer(site.units, port):
        yield site


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Site, Ledger]]:
    """The agent runs, and a ledger that doesn't answer yet."""
    port = free_port()
    with Broker(tmp_path / "broker") as broker, Ledger(broker.port, answers=False) as ledger:
        site = Site(tmp_path, broker.port, port)
        site.first.pour()
        site.first.pour(chamber=2)
        with TcpPeer(site.units, port), site.installation.running():
            wait_until(lambda: site.first.confirmed == 2, 20, "the pours confirmed")
            wait_until(lambda: "the local door is open" in site.installation.log.read_text(), 10, "the door")
            yield site, ledger


def test_a_lock_is_taken_out_only_once_the_ledger_has_all_its_records(running: tuple[Site, Ledger]) -> None:
    site, ledger = running
    early = site.run("decommission", "1f00a1", "--wait", "0.01")
    assert early.exit_code == 1
    assert "aren't in the ledger yet" in early.output
    assert "spool export --unreceived" in early.output
    assert site.first.enable_mask == 0b11, "the residents can use it as before"
    assert site.serials() == ["1f00a1", "1f00a2"]
    ledger.answers = True
    wait_until(lambda: len(ledger.record_ids()) >= 2, 20, "the pages")
    journal = next(iter(ledger.pages))
    ledger.send(ledger.receipt(journal))
    result = site.run("decommission", "1f00a1", "--wait", "0.2", "--technician", "K. Ober")
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    (closing,) = protocol.closing
    assert [(chamber.number, chamber.register_count) for chamber in closing.chambers] == [(1, 1), (2, 1)]
    assert [note.code for note in protocol.notes] == ["locked", "received"]
    assert site.first.enable_mask == 0
    assert site.serials() == ["1f00a2"]
    assert "# both" in site.config.read_text(), "comments stay"
    assert "systemctl restart wastelock-edge-agent" in result.output


def test_without_a_network_an_export_counts(running: tuple[Site, Ledger], tmp_path: Path) -> None:
    site, _ = running
    archive = tmp_path / "stick.wlpages"
    exported = CliRunner().invoke(
        app, ["spool", "export", "--unreceived", "--to", str(archive), "--config", str(site.config)]
    )
    assert exported.exit_code == 0, exported.output
    result = site.run("decommission", "1f00a1", "--exported", str(archive), "--keep-config", "--wait", "0.05")
    assert result.exit_code == 0, result.output
    assert [note.code for note in site.protocol().notes] == ["locked", "exported"]
    assert site.serials() == ["1f00a1", "1f00a2"]


def test_a_lock_is_commissioned_while_the_agent_reads_and_confirms_it(running: tuple[Site, Ledger]) -> None:
    site, _ = running

    def pour() -> None:
        wait_until(lambda: any(site.out.glob(".commissioning-*.json")), 20, "the test begins")
        for chamber in (1, 2):
            site.first.pour(chamber=chamber)

    somebody = threading.Thread(target=pour)
    somebody.start()
    result = site.run("commission", "1f00a1", "--pours", "1", "--no-ask")
    somebody.join()
    assert result.exit_code == 0, result.output
    assert "through the running agent" in result.output
    assert [(check.moved, check.pours) for check in site.protocol().registers] == [(1, 1), (1, 1)]
    wait_until(lambda: site.first.confirmed == 4, 10, "the agent confirms, and nobody else")


def test_what_somebody_does_at_a_locked_lock_is_drained_as_well(tmp_path: Path) -> None:
    clock, controller, spool = HandClock(), Controller(), tmp_path / "spool.db"
    controller.wall = clock.unix_s
    controller.pour()
    keep_all(spool, controller)
    registers = DirectRegisters(controller, clock)
    comes_at = iter([False, True])  # between the reading and the look whether anything came since

    def before_read(address: int, _count: int) -> None:
        if address == STATUS_ADDRESS and next(comes_at, False):
            controller.add(kind=Kind.ACCESS_DENIED, result=1, uid=1)
            keep_all(spool, controller)

    registers.before_read = before_read
    driver = Wlc1Driver(registers, controller.serial, clock.monotonic, clock.sleep)
    work = Decommissioning(driver, spool, clock.utc, Waiting(0.0, clock.monotonic, clock.sleep))
    assert work.drain().newest_seq == 2
    comes_at = iter([False, True] * 5)
    with pytest.raises(NotReady, match="goes on recording"):
        work.drain()


def test_a_remark_that_does_not_fit_is_told_before_anything_is_done(site: Site) -> None:
    for words in (["decommission", "1f00a1"], ["replace", "gateway"], ["commission", "1f00a1"]):
        result = site.run(*words, "--remark", "x" * 1001)
        assert (result.exit_code, result.exception.__class__) == (2, SystemExit)
        assert "at most 1000" in result.output
    assert site.first.enable_mask == 0b11


class _Counter(Controller):
    """A legacy counter: one cycle register."""

    count = 10

    def read(self, function: int, address: int, count: int) -> list[int] | int:
        return [self.count] if (address, count) == (0, 1) else 2


_COUNTER = (
    '{ serial = "1f00b1", bus = "street", unit = 9, driver = "counter-1", function = 4, poll_interval_s = 1, '
    "chambers = [{ number = 1, address = 0, width = 16, volume_ml = 5000 }] }"
)


def test_a_counter_is_taken_out_once_the_agent_has_seen_its_last_pour(tmp_path: Path) -> None:
    port, counter = free_port(), _Counter()
    with Broker(tmp_path / "broker") as broker, Ledger(broker.port, answers=True) as ledger:
        site = Site(tmp_path, broker.port, port)
        site.units[9] = counter
        text = site.config.read_text().replace("reporting =", 'clock = { source = "ntp" }\nreporting =')
        site.config.write_text(text.replace('{ serial = "1f00a2", bus = "street", unit = 2 }', _COUNTER))
        with TcpPeer(site.units, port):
            with site.installation.running():
                wait_until(
                    lambda: any(each[0] == "1f00b1" for each in ledger.record_ids()), 25, "its records"
                )
                counter.count += 1
                result = site.run("decommission", "1f00b1", "--wait", "0.3", "--keep-config")
                assert result.exit_code == 0, result.output
                assert "can't be locked from afar" in result.output
                assert "are switched off" not in result.output
            (closing,) = site.protocol().closing
            assert (closing.chambers[0].register_count, closing.newest_seq) == (11, 2)
            for file in site.out.iterdir():
                file.unlink()
            counter.count += 1
            late = site.run("decommission", "1f00b1", "--keep-config")
            assert (late.exit_code, "have moved on" in late.output) == (1, True), "no agent derives that pour"
            swapped = site.run("replace", "gateway", "--old-spool", str(site.installation.spool))
            assert swapped.exit_code == 0, swapped.output
            (check,) = [each for each in site.protocol().registers if each.lock == "1f00b1"]
            assert (check.opening, check.closing, check.pours) == (11, 12, 1)


def test_records_that_are_only_in_the_controller_keep_it_in_service(site: Site) -> None:
    site.first.pour()
    result = site.run("decommission", "1f00a1")
    assert result.exit_code == 1
    assert "systemctl start wastelock-edge-agent" in result.output
    assert site.first.enable_mask == 0b11
    assert not list(site.out.glob("*.wlprotocol"))


def test_the_last_lock_stays_in_the_configuration_of_a_gateway_that_ends(site: Site) -> None:
    site.config.write_text(site.config.read_text().replace(TWO, ONE))
    result = site.run("decommission", "1f00a1")
    assert result.exit_code == 0, result.output
    assert "systemctl disable --now" in result.output
    assert site.serials() == ["1f00a1"]


def test_a_controller_that_still_answers_is_drained_before_it_is_swapped(
    running: tuple[Site, Ledger],
) -> None:
    site, _ = running
    early = site.run("replace", "controller", "1f00a1", "--wait", "0.02")
    assert early.exit_code == 1
    assert "still the old controller answers" in early.output
    assert "STAY SWITCHED OFF" in early.output
    assert site.first.enable_mask == 0, "nobody pours into what is about to be taken away"
    successor = Controller(serial=0x1F00B1)
    site.units[1] = successor
    result = site.run("replace", "controller", "1f00a1", "--new", "1f00b1", "--wait", "0.1")
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    assert [(reading.lock, reading.source) for reading in (*protocol.closing, *protocol.opening)] == [
        ("1f00a1", "controller"),
        ("1f00b1", "controller"),
    ]
    assert site.serials() == ["1f00b1", "1f00a2"]
    assert "edge-agent commission 1f00b1" in result.output


def test_of_a_dead_controller_the_last_record_on_disk_counts(running: tuple[Site, Ledger]) -> None:
    site, _ = running
    site.units[1] = Controller(serial=0x1F00B1)
    result = site.run("replace", "controller", "1f00a1")
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    (closing,) = protocol.closing
    assert (closing.source, closing.newest_seq) == ("spool", 2)
    assert [(each.number, each.register_count, each.proven_by) for each in closing.chambers] == [
        (1, 1, 1),
        (2, 1, 2),
    ]
    assert [note.code for note in protocol.notes] == ["dead_controller"]
    (kept,) = site.config.parent.glob("agent.toml.before-*")
    assert 'serial = "1f00a1"' in kept.read_text()


def test_somebody_else_at_the_address_changes_nothing(site: Site) -> None:
    site.units[1] = Controller(serial=0x1F00B1)
    wrong = site.run("replace", "controller", "1f00a1", "--new", "1f00b2")
    assert (wrong.exit_code, "1f00b1 answers there, not 1f00b2" in wrong.output) == (1, True)
    site.units[1] = site.second
    known = site.run("replace", "controller", "1f00a1")
    assert (known.exit_code, "is configured at another address" in known.output) == (1, True)
    assert site.serials() == ["1f00a1", "1f00a2"]


@pytest.mark.parametrize("brought", ["--old-spool", "--archive"])
def test_a_new_gateway_finds_every_pour_since_the_old_one(site: Site, tmp_path: Path, brought: str) -> None:
    old = tmp_path / "card" / "spool.db"
    old.parent.mkdir()
    for _ in range(3):
        site.first.pour()
    keep_all(old, site.first)
    site.first.confirmed = 3
    site.first.pour(chamber=2)
    site.second.pour()
    if brought == "--archive":
        archive = tmp_path / "old.wlpages"
        words = ["spool", "export", "--spool", str(old), "--to", str(archive), "--config", str(site.config)]
        assert CliRunner().invoke(app, words).exit_code == 0
        old = archive
    named = ("--old-gateway", "gw-0000", "--id", "gw-0002")
    result = site.run("replace", "gateway", brought, str(old), *named)
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    assert protocol.old_gateway == "gw-0000"
    checks = {
        (check.lock, check.chamber): (check.opening, check.closing, check.pours)
        for check in protocol.registers
    }
    assert checks == {("1f00a1", 1): (3, 3, 0)}, "of chamber 2 the old disk has nothing"
    assert [(note.code, note.values["lock"]) for note in protocol.notes] == [("unknown_before", "1f00a2")]
    assert tomllib.loads(site.config.read_text())["gateway"]["id"] == "gw-0002"


def test_a_new_gateway_tells_what_does_not_fit(site: Site, tmp_path: Path) -> None:
    site.first.pour()
    old = tmp_path / "old.db"
    keep_all(old, site.first)
    site.first.registers[0] += 3
    site.first.pour()
    del site.units[2]
    result = site.run("replace", "gateway", "--old-spool", str(old))
    assert result.exit_code == 1
    assert {finding.code for finding in site.protocol().findings} == {"register_sum", "silent"}


def test_without_anything_of_the_old_gateway_what_was_confirmed_counts(site: Site) -> None:
    for _ in range(4):
        site.first.pour()
    site.first.confirmed = 3
    result = site.run("replace", "gateway")
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    assert [(each.lock, each.source, each.newest_seq) for each in protocol.closing] == [
        ("1f00a1", "confirmed", 3)
    ]
    assert [(check.opening, check.closing, check.pours) for check in protocol.registers] == [(3, 4, 1)]
