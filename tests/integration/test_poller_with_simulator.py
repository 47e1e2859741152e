"""Poller, bus and the real spool against firmware-sim on TCP and on a pseudo-terminal: what is on disk is the truth."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.line import Line
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from tests.support.calendar import quiet_night_options
from tests.support.running_bus import RunningBus, Wlc1Lock
from tests.support.waiting import wait_until
from wastelock.page import SigningKey, from_base64url, parse_page
from wastelock.record import decode_record
from wastelock.topics import GatewayTopics

BUSES = {
    "tcp": 'kind = "tcp"\nhost = "127.0.0.1"\nport = 0',
    "rtu": 'kind = "rtu"\ndevice = "yard"\nbaudrate = 115200\npace = "none"',
}
LOCK = """
[[locks]]
serial = "1f00a{unit}"
bus = "yard"
unit = {unit}
capacity = 400
epoch = 3
dwellings = 30
"""
ON_ANY_LINE = ["late_reply", "cut_frame", "silence", "exception_6", "lost_reply", "foreign_reply"]
FAULTS = {"tcp": [*ON_ANY_LINE, "reset_connection"], "rtu": [*ON_ANY_LINE, "broken_crc"]}
LOCKS = [Wlc1Lock(0x1F00A0 + unit, unit, 0.2) for unit in (1, 2)]


class Simulator:
    """firmware-sim as a process, with a backlog of twenty days; `faults` strike for the first seconds."""

    def __init__(self, directory: Path, kind: str, faults: list[str]) -> None:
        self.truth_file = directory / "truth.jsonl"
        config, scenario = directory / "sim.toml", directory / "scenario.toml"
        config.write_text(
            f'[[buses]]\nname = "yard"\n{BUSES[kind]}\n' + "".join(LOCK.format(unit=unit) for unit in (1, 2))
        )
        scenario.write_text(
            "".join(
                f'[[actions]]\nat_s = {0.2 * number:.1f}\ndo = "fault"\nbus = "yard"\nfault = "{fault}"\ncount = 1\n'
                for number, fault in enumerate(faults)
            )
        )
        files = [
            "--config",
            str(config),
            "--state",
            str(directory / "state"),
            "--truth",
            str(self.truth_file),
        ]
        options = [
            *quiet_night_options(),
            "--backlog-days",
            "20",
            "--speed",
            "10000",
            *(["--scenario", str(scenario)] if faults else []),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "firmware_sim.cli", "run", *files, *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.stdout.close()
            raise AssertionError(f"firmware-sim didn't start: exit code {self.process.wait(10)}")
        self.bus: dict[str, Any] = json.loads(line)["buses"]["yard"]

    def line(self) -> Line:
        if self.bus["kind"] == "tcp":
            return TcpLine(self.bus["host"], self.bus["port"], answer_timeout_s=0.5)
        return RtuLine(SerialSettings(self.bus["device"], 115200, parity="N"), answer_timeout_s=0.3)

    def truth(self) -> dict[tuple[str, int, int], dict[str, Any]]:
        """What the controllers wrote, by lock, epoch and number."""
        lines = [json.loads(line) for line in self.truth_file.read_text().splitlines()]
        assert len({(t["lock"], t["epoch"], t["seq"]) for t in lines}) == len(lines)
        return {(t["lock"], t["epoch"], t["seq"]): t for t in lines}

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(10) == 0
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    sealer = Sealer(GatewayTopics("site", "gw-0001"), SigningKey(Ed25519PrivateKey.generate()))
    opened = Spool(
        tmp_path / "spool.db",
        SpoolLimits(1 << 30, 1 << 40, 1 << 20),
        sealer,
        lambda: datetime.now(UTC),
        lambda: "ntp",
    )
    opened.start()
    yield opened
    opened.close()


def records_on_disk(spool: Spool) -> list[tuple[str, int, int, bytes]]:
    connection = sqlite3.connect(f"file:{spool.path}?mode=ro", uri=True)
    try:
        pages = [row[0] for row in connection.execute("SELECT payload FROM page ORDER BY page")]
    finally:
        connection.close()
    return [
        (record.lock, record.epoch, record.seq, from_base64url(record.raw))
        for page in pages
        for record in parse_page(page).records
        if not record.unverified
    ]


@pytest.mark.parametrize("faulty", [False, True], ids=["in peace", "through faults"])
@pytest.mark.parametrize("kind", ["tcp", "rtu"])
def test_what_the_controllers_wrote_is_on_disk_once_and_byte_for_byte(
    tmp_path: Path, spool: Spool, kind: str, faulty: bool
) -> None:
    simulator = Simulator(tmp_path, kind, FAULTS[kind] if faulty else [])
    try:
        with RunningBus(simulator.line(), LOCKS, spool) as running:
            backlog = len(simulator.truth())
            assert backlog > 200
            wait_until(
                lambda: len(simulator.truth()) > backlog + 4 and len(running.states) == len(LOCKS),
                60,
                "life to go on",
            )
            wanted = {lock: seq for lock, _, seq in sorted(simulator.truth())}
            wait_until(
                lambda: all((running.states[lock].confirmed_seq or 0) >= seq for lock, seq in wanted.items()),
                60,
                lambda: f"records {wanted} to be confirmed: {running.states}",
            )
    finally:
        simulator.stop()
    truth, on_disk = simulator.truth(), records_on_disk(spool)
    assert len({record[:3] for record in on_disk}) == len(on_disk)
    for lock in {lock for lock, _, _ in truth}:
        seqs = [seq for name, _, seq, _ in on_disk if name == lock]
        assert seqs == list(range(1, len(seqs) + 1))
    for name, epoch, seq, raw in on_disk:
        record, true = decode_record(raw), truth[name, epoch, seq]
        assert (record.kind, record.result, record.chamber) == (true["kind"], true["result"], true["chamber"])
        assert (record.volume_ml, record.register_after) == (true["volume_ml"], true["register_after"])
        assert (f"{record.uid:x}" if record.uid else None) == (true["uid"] and f"{int(true['uid'], 16):x}")
    assert len(on_disk) >= backlog
