"""`edge-agent commission`: registers, test pours and volumes of a real controller on a real bus, and the protocol."""

import errno
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pypdfium2 import PdfDocument  # type: ignore[import-untyped]
from typer.testing import CliRunner, Result

from edge_agent.commands import app
from edge_agent.technician.commission_session import _Kept
from edge_agent.technician.protocol_findings import FINDINGS
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import KEY, START, TOPICS
from tests.unit.edge_agent.installation import Installation
from wastelock.protocol import Protocol
from wastelock.signed_file import check_signature, read_file

UID = 0xE004_0123_4567_89AB


class Site:
    """A gateway whose agent doesn't run, and one lock with two chambers."""

    def __init__(self, directory: Path, port: int) -> None:
        self.lock = Controller()
        self.installation = Installation(directory, free_port(), port)
        self.out = directory / "protocols"

    def commission(self, *options: str, config: str | None = None) -> Result:
        words = ["commission", "1f00a1", "--out", str(self.out), "--no-ask", *options]
        return CliRunner().invoke(app, [*words, "--config", config or str(self.installation.config)])

    def protocol(self, **expected: Any) -> Protocol:
        """Return the one protocol that was written, having checked its signature."""
        (file,) = self.out.glob("*.wlprotocol")
        signed = read_file(file.read_bytes(), "protocol")
        assert (
            check_signature(signed, TOPICS.protocol_file, {KEY.kid: KEY.private.public_key()}.get) == KEY.kid
        )
        return Protocol.model_validate_json(signed.body)

    @contextmanager
    def pouring(self, *chambers: int, after: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Somebody pours as soon as the command waits for it."""

        def pour() -> None:
            wait_until(lambda: any(self.out.glob(".commissioning-*.json")) and after(), 20, "the test begins")
            for chamber in chambers:
                self.lock.pour(chamber=chamber, uid=UID)
                time.sleep(0.01)

        somebody = threading.Thread(target=pour)
        somebody.start()
        yield
        somebody.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    site = Site(tmp_path, port)
    for chamber in (1, 2, 1):
        site.lock.pour(chamber=chamber)
    with TcpPeer({1: site.lock}, port):
        yield site


def test_a_lock_that_counts_right_passes_and_the_protocol_proves_it(site: Site) -> None:
    with site.pouring(1, 2, 2, 1):
        result = site.commission(
            "--planned", "1:5000", "--measured", "1:4950", "--technician", "K. Ober", "--json"
        )
    assert result.exit_code == 0, result.output
    protocol = site.protocol()
    assert json.loads(result.stdout)["reference"] == protocol.reference
    assert [(check.chamber, check.moved, check.pours) for check in protocol.registers] == [
        (1, 2, 2),
        (2, 2, 2),
    ]
    assert all(check.holds for check in protocol.registers)
    assert all(check.holds for check in protocol.volumes)
    assert [(pour.chamber, pour.volume_ml) for pour in protocol.pours] == [
        (1, 5000),
        (2, 20000),
        (2, 20000),
        (1, 5000),
    ]
    assert protocol.volumes[0].deviation_permille == -10
    assert (protocol.technician, protocol.passed) == ("K. Ober", True)
    opening, closing = protocol.opening[0], protocol.closing[0]
    assert (opening.newest_seq, closing.newest_seq) == (3, 7)
    assert [chamber.proven_by for chamber in opening.chambers] == [3, 2]
    assert site.lock.confirmed == 0, "nothing is confirmed by hand"
    assert not list(site.out.glob(".*")), "what was kept to go on with is gone"


def test_no_transponder_stands_in_a_protocol(site: Site) -> None:
    with site.pouring(1, 1, 2, 2):
        result = site.commission()
    assert result.exit_code == 0
    for file in site.out.iterdir():
        content = file.read_bytes().decode("latin-1").lower() + result.output.lower()
        assert not any(
            spelling in content for spelling in (f"{UID:x}", str(UID), UID.to_bytes(8, "big").hex(":"))
        )
    assert {file.suffix for file in site.out.iterdir()} == {".wlprotocol", ".pdf", ".txt"}


def test_pours_that_nobody_makes_are_missing_in_the_protocol(site: Site) -> None:
    with site.pouring(1, 2, 2):
        result = site.commission("--wait", "0.02")
    assert result.exit_code == 1
    assert "Chamber 1: 1 of 2 test pours weren't made" in result.output
    protocol = site.protocol()
    assert [(finding.code, finding.values["chamber"]) for finding in protocol.findings] == [
        ("pours_missing", 1)
    ]
    assert len(protocol.pours) == 3


def test_what_does_not_agree_fails_and_says_what_to_do(site: Site) -> None:
    def cheat() -> bool:
        site.lock.registers[0] += 5  # a register that moves without a record
        return True

    with site.pouring(1, 1, 2, 2, after=cheat):
        result = site.commission(
            "--planned", "2:15000", "--measured", "2:15500", "--anyway", "--language", "de"
        )
    assert result.exit_code == 1
    codes = {finding.code for finding in site.protocol().findings}
    assert codes == {"volume_not_planned", "register_sum", "volume_measured"}
    text = next(site.out.glob("*.txt")).read_text()
    assert "NICHT BESTANDEN" in text
    assert "Nicht in Betrieb nehmen" in " ".join(text.split())


def test_a_controller_that_loses_its_journal_in_the_middle_is_begun_with_anew(site: Site) -> None:
    def lose() -> bool:
        site.lock.begin_epoch(8)
        return True

    with site.pouring(1, after=lose):
        result = site.commission()
    assert result.exit_code == 1
    assert "began a new journal in the middle of the test: begin again with --anew" in result.output
    assert not list(site.out.glob("*.wlprotocol"))


def test_the_paper_says_what_the_signed_file_says(site: Site) -> None:
    with site.pouring(1, 1, 2, 2):
        assert site.commission("--language", "de", "--technician", "Jörg Öchsle").exit_code == 0
    protocol = site.protocol()
    (file,) = site.out.glob("*.pdf")
    document = PdfDocument(file)
    text = "".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    for said in (protocol.reference, "BESTANDEN", "Jörg Öchsle", "Zählerstände", "Müllschleuse", KEY.kid):
        assert said in text
        assert said in next(site.out.glob("*.txt")).read_text()


def test_a_lock_that_is_not_ready_is_not_tested(site: Site) -> None:
    site.lock.faults = 1 << 3
    result = site.commission()
    assert result.exit_code == 1
    assert "Fault door_open is raised. See to it at the lock" in result.output
    assert not list(site.out.glob("*.wlprotocol"))


def test_a_gateway_that_can_not_sign_says_so_before_anybody_pours(site: Site, tmp_path: Path) -> None:
    (tmp_path / "gateway.pem").unlink()
    result = site.commission()
    assert result.exit_code == 78
    assert "sudo edge-agent" in result.output


def test_planned_volumes_come_from_the_list_of_locks(site: Site, tmp_path: Path) -> None:
    plan = tmp_path / "locks.csv"
    plan.write_text("# the site\nlock,site,chamber_1_ml,chamber_2_ml\n1f00a1,s,5000,19000\n")
    result = site.commission("--plan", str(plan))
    assert result.exit_code == 1
    assert "Chamber 2 is set to 20000 ml, planned are 19000 ml" in result.output
    assert site.commission("--plan", str(tmp_path / "away.csv")).exit_code == 78


@pytest.mark.parametrize("code", sorted(FINDINGS))
def test_findings_say_the_same_in_both_languages(code: str) -> None:
    english, german = FINDINGS[code]
    assert sorted(part.split("}")[0] for part in english.split("{")[1:]) == sorted(
        part.split("}")[0] for part in german.split("{")[1:]
    )


def test_a_protocol_that_could_not_be_written_is_written_by_the_same_command(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    begin = site.commission("--wait", "0.01", "--pours", "1")
    assert begin.exit_code == 1, "nobody poured"
    kept = _Kept(
        reference="gw-0001-20261122T090000-1f00a1", began_at=START, opening=site.protocol().closing[0]
    )
    for file in site.out.iterdir():
        file.unlink()
    (site.out / ".commissioning-1f00a1.json").write_text(kept.model_dump_json())
    (site.out / f"{kept.reference}.wlprotocol").write_text('{"wastelock": "proto')  # the power went
    with monkeypatch.context() as full:
        full.setattr("os.fsync", fail)
        again = site.commission("--wait", "0.01", "--pours", "1")
    assert (again.exit_code, "No space left on device" in again.output) == (1, True), again.output
    assert not list(site.out.glob(".*.part"))
    result = site.commission("--wait", "0.01", "--pours", "1")
    assert f"{kept.reference}.wlprotocol" in result.output.replace("\n", "")
    assert site.protocol().reference == kept.reference
    (site.out / ".commissioning-1f00a1.json").write_text(
        kept.model_dump_json()
    )  # killed before it was removed
    site.commission("--wait", "0.01", "--pours", "1")
    assert len(list(site.out.glob("*.wlprotocol"))) == 2, "that test came to its end: another begins"
