"""Real Modbus peers for tests: pymodbus's own server on TCP, and a bare RTU slave on a pseudo-terminal.

Both serve controllers by unit. The RTU peer misbehaves on request: `PtyPeer.script` holds, for the next requests, what
to do instead of answering properly.
"""

import asyncio
import contextlib
import os
import select
import threading
import tty
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.support.controller import Controller

# Given the request frame and the proper answer frame: what goes onto the line (b"": silence).
Misdeed = Callable[[bytes, bytes], bytes]


class _Registers:
    """What pymodbus's server asks for registers, answered by controllers."""

    def __init__(self, units: Mapping[int, Controller]) -> None:
        self._units = units

    async def async_getValues(self, device_id: int, func_code: int, address: int, count: int = 1) -> Any:
        found = self._unit(device_id).read(func_code, address, count)
        return ExcCodes(found) if isinstance(found, int) else found

    async def async_setValues(self, device_id: int, func_code: int, address: int, values: list[int]) -> Any:
        code = self._unit(device_id).write(address, values)
        return None if code is None else ExcCodes(code)

    def _unit(self, unit: int) -> Controller:
        if unit not in self._units:
            raise NoSuchIdException(f"no unit {unit}")
        return self._units[unit]


class TcpPeer:
    """pymodbus's TCP server in a thread. `stop` and `start` again: the same port."""

    def __init__(self, units: Mapping[int, Controller], port: int) -> None:
        self.host, self.port = "127.0.0.1", port
        self._units = units
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ModbusTcpServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="modbus peer")
        self._thread.start()
        assert ready.wait(10), "the Modbus server didn't start"

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._server is None:
            return
        ending = self._server.shutdown()  # type: ignore[no-untyped-call]
        asyncio.run_coroutine_threadsafe(ending, self._loop).result(10)
        self._thread.join(10)
        self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        device = SimDevice(0, simdata=[SimData(0, datatype=DataType.REGISTERS)])
        self._loop = asyncio.get_running_loop()
        self._server = ModbusTcpServer(device, address=(self.host, self.port))
        self._server.context = _Registers(self._units)  # type: ignore[assignment]
        await self._server.serve_forever(background=True)
        ready.set()
        await self._server.serving

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class PtyPeer:
    """An RTU slave on the master side of a pseudo-terminal; `device` is a link to the other side, as udev makes."""

    def __init__(self, units: Mapping[int, Controller], device: Path) -> None:
        self.device = device
        self.script: deque[Misdeed | None] = deque()
        self.requests: list[bytes] = []
        self.dead: set[int] = set()
        self._units = units
        self._framer = FramerRTU(DecodePDU(True))
        self._master = -1
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        self._stop.clear()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device.unlink(missing_ok=True)
        self.device.symlink_to(os.ttyname(slave))
        os.close(slave)
        self._thread = threading.Thread(target=self._serve, name="pty peer")
        self._thread.start()

    def vanish(self) -> None:
        """Be unplugged: the link goes, the line hangs up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None
            with self._guard:
                os.close(self._master)
                self._master = -1
        self.device.unlink(missing_ok=True)

    def send(self, data: bytes) -> None:
        """Put bytes onto the line that nobody asked for, if it is there (a late answer's timer may outlive it)."""
        with self._guard:
            if self._master >= 0:
                os.write(self._master, data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()

    def _serve(self) -> None:
        data = b""
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.02)[0]:
                data = b""  # silence ends a frame
                continue
            with contextlib.suppress(OSError):  # EIO while nobody has the other side open
                data += os.read(self._master, 512)
            frame = _request_in(data)
            if frame is not None:
                data = b""
                self._answer(frame)
            elif not data:
                self._stop.wait(0.01)

    def _answer(self, frame: bytes) -> None:
        self.requests.append(frame)
        unit = frame[0]
        if unit in self.dead or unit not in self._units:
            return
        proper = self._framer.encode(answer_pdu(self._units[unit], frame[1:-2]), unit, 0)
        misdeed = self.script.popleft() if self.script else None
        answer = proper if misdeed is None else misdeed(frame, proper)
        if answer:
            os.write(self._master, answer)


def answer_pdu(controller: Controller, pdu: bytes) -> bytes:
    """Return the answer PDU to a request PDU of function 3, 4, 6 or 16."""
    function, address = pdu[0], int.from_bytes(pdu[1:3], "big")
    if function in (3, 4):
        found = controller.read(function, address, int.from_bytes(pdu[3:5], "big"))
        if isinstance(found, int):
            return bytes((function | 0x80, found))
        return bytes((function, 2 * len(found))) + b"".join(word.to_bytes(2, "big") for word in found)
    data = pdu[6:] if function == 16 else pdu[3:5]
    code = controller.write(address, [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)])
    return pdu[:5] if code is None else bytes((function | 0x80, code))


def with_crc(frame: bytes) -> bytes:
    """Return an RTU frame with its CRC behind it."""
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


def _request_in(data: bytes) -> bytes | None:
    """Return the whole request that these bytes are, None if it isn't there yet."""
    if len(data) < 8:
        return None
    length = 9 + data[6] if data[1] == 16 else 8
    return (
        data
        if len(data) == length and FramerRTU.check_CRC(data[:-2], int.from_bytes(data[-2:], "big"))
        else None
    )
