"""`edge-agent read LOCK`: one lock in words, nothing confirmed, no transponder's number; and why it can't be read."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.commands import app
from edge_agent.technician.record_words import describe_record
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.unit.edge_agent.installation import Installation
from wastelock.record import Kind, Record
from wastelock.registers import Fault

UID = 0xE004_0123_4567_89AB


class Bench:
    """A lock and a legacy counter on one line, no agent."""

    def __init__(self, directory: Path, port: int) -> None:
        self.lock = Controller()
        self.installation = Installation(directory, free_port(), port)
        counter = """
            [[locks]]
            serial = "1f00b1"
            bus = "street"
            unit = 9
            driver = "counter-1"
            function = 4
            chambers = [{ number = 1, address = 85, width = 32, volume_ml = 5000 }]
        """
        text = (
            self.installation.config.read_text()
            .replace("locks = [{ serial", "[[locks]]\nserial")
            .replace(", bus =", "\nbus =")
            .replace(", unit =", "\nunit =")
            .replace(", poll_interval_s = 0.2 }]", "\n")
        )
        buses = (
            text.replace("buses = [{ name", "[[buses]]\nname")
            .replace(", kind", "\nkind")
            .replace(', host = "127.0.0.1", port = ' + f"{port} }}]", f'\nhost = "127.0.0.1"\nport = {port}')
        )
        self.installation.config.write_text(buses + counter)

    def read(self, *arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["read", *arguments, "--config", str(self.installation.config)])
        return done.exit_code, done.output


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    port = free_port()
    bench = Bench(tmp_path, port)
    with TcpPeer({1: bench.lock, 9: Controller(registers=[7, 0, 0, 0])}, port):
        yield bench


def test_a_lock_is_told_in_words_without_confirming_anything(bench: Bench) -> None:
    for chamber in (1, 2, 1, 1, 1, 1, 1):
        bench.lock.pour(chamber, uid=UID)
    code, text = bench.read("1f00a1", "--last", "7")
    assert code == 0
    assert "lock 1f00a1, driver wlc-1" in text and "no agent runs" in text
    assert "chamber 2   20,000 ml, register 1, open for use" in text
    assert "records 1..7 of epoch 7, 7 of them only here, room for 32" in text
    assert text.count("pour complete: chamber 1, 5,000 ml") == 6
    assert bench.lock.confirmed == 0
    assert not [entry for entry in bench.lock.log if entry[0] == "write"]


def test_no_spelling_of_a_transponder_is_shown(bench: Bench) -> None:
    bench.lock.pour(uid=UID)
    for options in ((), ("--json",)):
        text = bench.read("1f00a1", *options)[1].lower()
        assert f"{UID:x}" not in text and str(UID) not in text
        assert "a transponder" in text


def test_json_has_identity_status_and_records(bench: Bench) -> None:
    bench.lock.pour()
    code, text = bench.read("001F00A1", "--json")
    seen = json.loads(text)
    assert code == 0
    assert (seen["lock"], seen["unit"], seen["via"]) == ("1f00a1", 1, "direct")
    assert seen["controller"]["firmware"] == "1.2.3"
    assert seen["controller"]["capabilities"] == ["access_list", "chamber_enable"]
    assert [record["seq"] for record in seen["journal"]["last"]] == [1]


def test_a_counter_tells_its_registers(bench: Bench) -> None:
    code, text = bench.read("1f00b1")
    assert code == 0, text
    assert "driver counter-1" in text
    assert "register 7" in text
    assert "journal" not in text


def test_why_a_lock_cant_be_read_is_said_with_the_remedy(bench: Bench) -> None:
    assert bench.read("1f00ff") == (
        1,
        f"{bench.installation.config}: there is no lock '1f00ff'; there are 1f00a1, 1f00b1\n",
    )
    bench.lock.serial = 0x1F00A7
    code, text = bench.read("1f00a1")
    assert code == 1
    assert "1f00a7 answers where 1f00a1 is configured" in text and "remedy:" in text


def test_a_lock_that_doesnt_answer_is_told_with_the_remedy(tmp_path: Path) -> None:
    bench = Bench(tmp_path, free_port())
    code, text = bench.read("1f00a1")
    assert code == 1
    assert "can't be reached" in text and "remedy:" in text


@pytest.mark.parametrize("kind", [*Kind, 99])
@pytest.mark.parametrize("result", [0, 1, 2, 9])
def test_each_record_has_words_and_none_has_a_number_of_a_transponder(kind: int, result: int) -> None:
    record = Record(
        seq=1, began_clock_s=2, boot=3, kind=kind, result=result, chamber=1, flags=0b0111_1101, uid=UID,
        volume_ml=5000, duration_ds=Fault.FLAP_OPEN, register_after=12,
    )  # fmt: skip
    words = describe_record(record)
    assert words and f"{UID:x}" not in words.lower() and str(UID) not in words
