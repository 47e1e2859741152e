"""Modbus RTU: many units on one pseudo-terminal, at the speed of the wire if asked for.

client writes ──request time──▶ unit has it ──3.5 characters──▶ first byte … last byte ──3.5 characters──▶ next request
"""

import asyncio
import os
import re
import tty
from collections.abc import Callable
from pathlib import Path

from firmware_sim.bus import Bus, Reply
from firmware_sim.errors import SimulatorError
from firmware_sim.wire import Request, RtuRequests, rtu_frame

BITS_PER_CHARACTER = 11  # 8E1: start, 8 data, parity, stop
# Ends a frame of unknown length; a pseudo-terminal delivers in bursts, so 3.5 characters would be too short.
SILENCE_S = 0.02
CHUNK_BYTES = 16
MAX_BEHIND_S = 2.0
_TARGET = re.compile(r"/proc/\d+/fd/\d+\Z|/dev/pts/\d+\Z")


class LineTiming:
    """How long bytes take on the wire; all zero without pace."""

    def __init__(self, baudrate: int, paced: bool) -> None:
        self.character_s = BITS_PER_CHARACTER / baudrate if paced else 0.0
        # Modbus over serial line 1.02, 2.5.1.1: 3.5 characters, fixed at 1.75 ms beyond 19200 Bd.
        self.gap_s = max(3.5 * self.character_s, 0.00175) if paced else 0.0
        self._free_at_s = 0.0

    def behind_s(self, now_s: float) -> float:
        """Return for how long the line is taken already."""
        return max(0.0, self._free_at_s - now_s)

    def request(self, arrived_s: float, length: int) -> float:
        """Return when the last byte of a request is through that the client began to send at `arrived_s`."""
        self._free_at_s = max(arrived_s, self._free_at_s + self.gap_s) + length * self.character_s
        return self._free_at_s

    def reply(self, due_s: float, length: int) -> float:
        """Return when the first byte of an answer due at `due_s` leaves; the line is taken until its last."""
        begins_s = max(due_s, self._free_at_s + self.gap_s)
        self._free_at_s = begins_s + length * self.character_s
        return begins_s


class SerialLine:
    """The slaves' side of one serial line."""

    def __init__(self, bus: Bus, now: Callable[[], float], timing: LineTiming) -> None:
        self.bus = bus
        self._now = now
        self._timing = timing
        self._requests = RtuRequests()
        self._master = self._slave = -1
        self._link: Path | None = None
        self._silence: asyncio.TimerHandle | None = None

    def start(self, device: Path) -> None:
        """Make the pseudo-terminal and the link to it, replacing a link that an earlier run left."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        try:
            if (device.exists() or device.is_symlink()) and not _is_ours(device):
                raise SimulatorError(
                    f"{device}: is there and no link to a pseudo-terminal; name another device"
                )
            device.parent.mkdir(parents=True, exist_ok=True)
            fresh = device.with_name(f".{device.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._target)
            fresh.replace(device)
        except OSError as error:
            raise SimulatorError(f"{device}: the link can't be made: {error.strerror}") from error
        self._link = device
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    @property
    def _target(self) -> str:
        """What the link leads to: the terminal through this process, so that it leads nowhere once that is killed.

        A link to /dev/pts/N would lead to whoever gets that number next: another estate, or somebody's shell.
        """
        return f"/proc/{os.getpid()}/fd/{self._slave}"

    async def stop(self) -> None:
        """Hang up and take the link away if it is still ours."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        if self._silence is not None:
            self._silence.cancel()
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._target:
            self._link.unlink()
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        for request in self._requests.feed(data):
            self._receive(request)
        if self._requests.waiting:
            self._silence = asyncio.get_running_loop().call_later(SILENCE_S, self._fell_silent)

    def _fell_silent(self) -> None:
        self._silence = None
        request = self._requests.silence()
        if request is not None:
            self._receive(request)

    def _receive(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        if self._timing.behind_s(loop.time()) > MAX_BEHIND_S:
            return  # nobody waits so long; on a real line it would have collided
        through_s = self._timing.request(loop.time(), request.frame_bytes)
        if through_s <= loop.time():
            self._execute(request)
        else:
            loop.call_at(through_s, self._execute, request)

    def _execute(self, request: Request) -> None:
        reply = self.bus.answer(request, self._now())
        if reply is not None:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        frame = rtu_frame(reply.unit, reply.pdu)
        if reply.spoil:
            frame = frame[:-1] + bytes((frame[-1] ^ 0xFF,))
        if reply.cut_to is not None:
            frame = frame[: min(reply.cut_to, len(frame) - 1)]
        begins_s = self._timing.reply(loop.time() + reply.delay_s, len(frame))
        for at in range(0, len(frame), CHUNK_BYTES):
            chunk = frame[at : at + CHUNK_BYTES]
            through_s = begins_s + (at + len(chunk)) * self._timing.character_s
            if self._timing.character_s or reply.delay_s:
                loop.call_at(through_s, self._write, chunk)
            else:
                self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._master < 0:
            return
        try:
            os.write(self._master, chunk)
        except BlockingIOError:
            return  # nobody reads: on a real line the bytes are gone, too


def _is_ours(device: Path) -> bool:
    """True if it is what an earlier run may have left: a symbolic link to a process's terminal."""
    return device.is_symlink() and _TARGET.match(str(device.readlink())) is not None
