"""An RS-485 line on which baud rate and parity count, with units that are dead, set otherwise, or doubled.

A pseudo-terminal has no parity: Linux takes the bit away. So how the master has set its port is carried beside the
terminal, in a file with the device's name and `.settings`, which `set_port` writes when it opens the port (so does the
program, run by tests/support/wired_cli.py). All else is real: the terminal, the bytes on it, the program.

A unit hears only what is sent with its own settings; what it can't make out it leaves alone, as a UART does. Two units
of one id answer both, and their bytes meet on the wire.
"""

import contextlib
import json
import os
import select
import threading
import time
import tty
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import serial
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from edge_agent.line_rtu import SerialSettings
from tests.support.controller import Controller
from tests.support.modbus_peers import answer_pdu

DEFAULT = (19_200, "E")


@dataclass
class WiredUnit:
    """A controller on the line. `port`: its baud rate and parity; not `answers`: dead; `noise`: each n-th is spoilt."""

    unit: int
    controller: Controller
    port: tuple[int, str] = DEFAULT
    answers: bool = True
    noise: int = 0
    is_counter: bool = False
    heard: int = field(default=0, init=False)


def settings_file(device: str) -> Path:
    return Path(f"{device}.settings")


def set_port(settings: SerialSettings) -> serial.Serial:
    """Open the terminal as edge_agent.line_rtu.open_port opens a port, its settings told beside it."""
    port = serial.Serial(settings.device, settings.baudrate, parity="N", timeout=0, exclusive=True)
    settings_file(settings.device).write_text(json.dumps([settings.baudrate, settings.parity]))
    return port


class WiredBus:
    """Context manager; `device` is a link to the terminal. `requests` counts what was asked of each unit id."""

    def __init__(self, device: Path, units: Iterable[WiredUnit]) -> None:
        self.device = device
        self.units = list(units)
        self.requests: dict[int, int] = {}
        self._framer = FramerRTU(DecodePDU(True))
        self._stop = threading.Event()
        self._master = -1
        self._thread = threading.Thread(target=self._serve, name="wired bus")

    def __enter__(self) -> Self:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device.unlink(missing_ok=True)
        self.device.symlink_to(os.ttyname(slave))
        os.close(slave)
        settings_file(str(self.device)).write_text(json.dumps(DEFAULT))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        os.close(self._master)
        self.device.unlink(missing_ok=True)

    def _serve(self) -> None:
        data = b""
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                data = b""  # silence ends a frame
                continue
            try:
                data += os.read(self._master, 512)
            except OSError:  # EIO while nobody has the other side open
                self._stop.wait(0.01)
                continue
            if _is_request(data):
                frame, data = data, b""
                self._answer(frame)

    def _answer(self, frame: bytes) -> None:
        self.requests[frame[0]] = self.requests.get(frame[0], 0) + 1
        port = tuple(json.loads(settings_file(str(self.device)).read_text()))
        answers = [
            answer
            for unit in self.units
            if unit.unit == frame[0]
            and unit.port == port
            and unit.answers
            and (answer := self._of(unit, frame))
        ]
        for answer in _on_the_wire(answers, self.requests[frame[0]]):
            with contextlib.suppress(OSError):
                os.write(self._master, answer)
            time.sleep(0.005)

    def _of(self, unit: WiredUnit, frame: bytes) -> bytes:
        pdu = bytes((frame[1] | 0x80, 2)) if unit.is_counter else answer_pdu(unit.controller, frame[1:-2])
        answer = self._framer.encode(pdu, unit.unit, 0)
        unit.heard += 1
        spoilt = unit.noise and unit.heard % unit.noise == 0
        return answer[:-1] + bytes((answer[-1] ^ 0x55,)) if spoilt else answer


def _on_the_wire(answers: list[bytes], number: int) -> list[bytes]:
    """Two units answer at once: mostly their bytes meet, now and then one is quick and the other too late."""
    if len(answers) < 2:
        return answers
    first, second = answers[:2]
    if number % 3 == 0:
        return [first, second]
    if number % 3 == 1:
        return [second]  # the other lost the line
    return [bytes(a & b for a, b in zip(first, second, strict=False))]


def _is_request(data: bytes) -> bool:
    if len(data) < 8:
        return False
    length = 9 + data[6] if data[1] == 16 else 8
    return len(data) == length and FramerRTU.check_CRC(data[:-2], int.from_bytes(data[-2:], "big"))


def crowded_line() -> list[WiredUnit]:
    """Return a line of 32 unit ids as it is met in the field: 24 that are well, and one or more of each trouble.

    3 and 17: nobody. 9 and 21: 8N1. 14: 9600 Bd. 12 and 26: two controllers each. 30: a legacy counter. The serial
    number of unit N is 1f0100 + N, that of a unit's second controller 1f0200 + N.
    """
    units = []
    for unit in range(1, 33):
        controller = Controller(serial=0x1F0100 + unit)
        controller.pour()
        port = (19_200, "N") if unit in (9, 21) else (9_600, "E") if unit == 14 else DEFAULT
        units.append(WiredUnit(unit, controller, port, answers=unit not in (3, 17), is_counter=unit == 30))
    return [*units, *(WiredUnit(unit, Controller(serial=0x1F0200 + unit)) for unit in (12, 26))]
