"""A simulator as a process of its own, and a raw client that makes its frames by hand."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import tty
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.calendar import quiet_night_options

READY_S = 60.0
ANSWER_S = 15.0

ESTATE = """
[[buses]]
name = "yard"
kind = "rtu"
device = "yard"
pace = "{pace}"

[[buses]]
name = "street"
kind = "tcp"

[[locks]]
serial = "1f00a1"
bus = "yard"
unit = 1
{extra}

[[locks]]
serial = "1f00a2"
bus = "yard"
unit = 2
{extra}

[[locks]]
serial = "1f00a3"
bus = "street"
unit = 1
mac_key = "000102030405060708090a0b0c0d0e0f"
mac_key_id = 1
{extra}
"""


class Simulator:
    """A running `firmware-sim run` in a directory; context manager. `kill` is kill -9, `stop` is SIGTERM.

    Its residents begin in the quiet night; killed and started again, it goes on in the same calendar.
    """

    def __init__(
        self, directory: Path, *options: str, extra: str = "dwellings = 0", pace: str = "none"
    ) -> None:
        self.directory = directory
        self.config = directory / "estate.toml"
        self.config.write_text(ESTATE.format(extra=extra, pace=pace), encoding="utf-8")
        self.truth_path = directory / "truth.jsonl"
        self.control_path = directory / "control"
        self._options = [*quiet_night_options(), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self.buses: dict[str, Any] = {}

    def command(self) -> list[str]:
        """Return the command line."""
        paths = {
            "--config": self.config,
            "--state": self.directory / "state",
            "--truth": self.truth_path,
            "--control": self.control_path,
        }
        named = [part for option, path in paths.items() for part in (option, str(path))]
        return [sys.executable, "-m", "firmware_sim.cli", "run", *named, *self._options]

    def start(self) -> Self:
        """Start it and wait for its ready line."""
        self._process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], READY_S)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            self._process.kill()
            raise AssertionError(f"not ready: {self._process.communicate()[1].decode()}")
        ready = json.loads(line)
        assert ready["ready"] and ready["pid"] == self._process.pid
        self.buses = ready["buses"]
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with signal 9."""
        self._end(signal.SIGKILL)

    def wait(self) -> tuple[int, str]:
        """Wait for it to end by itself; return exit code and what it said on stderr."""
        assert self._process is not None
        _, stderr = self._process.communicate(timeout=READY_S)
        code, self._process = self._process.returncode, None
        return code, stderr.decode()

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait()[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    def control(self, **action: object) -> dict[str, Any]:
        """Order one action; return its outcome, which has to be good."""
        outcome = self.try_control(json.dumps(action).encode())
        assert outcome["ok"], outcome
        return outcome

    def try_control(self, line: bytes) -> dict[str, Any]:
        """Send one line to the control socket; return the outcome as it is."""
        with socket.socket(socket.AF_UNIX) as talk:
            talk.settimeout(READY_S)
            talk.connect(str(self.control_path))
            talk.sendall(line + b"\n")
            with talk.makefile("rb") as answers:
                outcome: dict[str, Any] = json.loads(answers.readline())
        return outcome

    def status(self, lock: str) -> dict[str, Any]:
        """Return what the simulator says of one lock."""
        found: dict[str, Any] = next(one for one in self.control(do="status")["locks"] if one["lock"] == lock)
        return found

    def truth(self, lock: str | None = None) -> list[dict[str, Any]]:
        """Return the truth so far, of one lock if named."""
        lines = [json.loads(line) for line in self.truth_path.read_bytes().splitlines()]
        return [line for line in lines if lock in (None, line["lock"])]

    def tcp(self) -> "RawTcp":
        return RawTcp(self.buses["street"]["host"], self.buses["street"]["port"])

    def rtu(self) -> "RawRtu":
        return RawRtu(Path(self.buses["yard"]["device"]))


class RawTcp:
    """A Modbus TCP client of a few lines; nothing of it is shared with the simulator."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=ANSWER_S)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, pdu: bytes, unit: int = 1) -> int:
        """Send a request; return its transaction number."""
        self._number += 1
        self.socket.sendall(struct.pack(">HHHB", self._number, 0, len(pdu) + 1, unit) + pdu)
        return self._number

    def receive(self) -> tuple[int, int, bytes]:
        """Return transaction, unit and PDU of the next answer."""
        transaction, protocol, length, unit = struct.unpack(">HHHB", self.exactly(7))
        assert protocol == 0
        return transaction, unit, self.exactly(length - 1)

    def exactly(self, n: int) -> bytes:
        """Return the next n bytes; EOFError where the connection ends before."""
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def ask(self, pdu: bytes, unit: int = 1) -> bytes:
        """Return the answer to a request."""
        number = self.send(pdu, unit)
        transaction, answered, answer = self.receive()
        assert (transaction, answered) == (number, unit)
        return answer

    def is_silent(self, for_s: float = 0.3) -> bool:
        """True if nothing comes within this time."""
        return not select.select([self.socket], [], [], for_s)[0]


def crc16(data: bytes) -> bytes:
    """Return the CRC of Modbus over serial line, low byte first, bit by bit as the standard tells it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class RawRtu:
    """A Modbus RTU client of a few lines on a device."""

    def __init__(self, device: Path) -> None:
        self.fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def send(self, pdu: bytes, unit: int = 1) -> None:
        frame = bytes((unit,)) + pdu
        os.write(self.fd, frame + crc16(frame))

    def receive(self, n: int, timeout_s: float = ANSWER_S) -> bytes:
        """Return up to n bytes, fewer where no more come within the time."""
        deadline = time.monotonic() + timeout_s
        data = b""
        while len(data) < n and (left := deadline - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                data += os.read(self.fd, n - len(data))
        return data

    def ask(self, pdu: bytes, answer_bytes: int, unit: int = 1) -> bytes:
        """Return the answer's PDU of this length."""
        self.send(pdu, unit)
        frame = self.receive(answer_bytes + 3)
        assert len(frame) == answer_bytes + 3 and frame[0] == unit
        assert crc16(frame[:-2]) == frame[-2:]
        return frame[1:-2]

    def is_silent(self, for_s: float = 0.3) -> bool:
        """True if nothing comes within this time."""
        return not select.select([self.fd], [], [], for_s)[0]


def taken_port() -> "closing[socket.socket]":
    """Return a socket that listens somewhere on the loopback interface."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return closing(listener)
