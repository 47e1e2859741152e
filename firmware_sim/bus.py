"""The units of one bus, and what befalls requests and answers on their way. No I/O; both transports use it."""

from typing import NamedTuple

from firmware_sim.faults import WireFault, WireFaults
from firmware_sim.unit import Unit
from firmware_sim.wire import Request
from wastelock.registers import ExceptionCode

BROADCAST = 0


class Reply(NamedTuple):
    """An answer to send after `delay_s`. `cut_to`: so many bytes of the frame only; `spoil`: with a wrong CRC."""

    unit: int
    pdu: bytes
    delay_s: float = 0.0
    cut_to: int | None = None
    spoil: bool = False


class ConnectionReset(Exception):
    """The fault at work here is that the connection goes."""


class Bus:
    """Answers what comes over one serial line or one TCP port."""

    def __init__(self, name: str, answers_for_absent: bool) -> None:
        """`answers_for_absent`: unknown units are answered with exception 0x0B, as on TCP."""
        self.name = name
        self.units: dict[int, Unit] = {}
        self.faults = WireFaults()
        self._answers_for_absent = answers_for_absent

    def answer(self, request: Request, now_s: float) -> Reply | None:
        """Return the answer, None where nobody answers; raise ConnectionReset where the connection goes."""
        number, pdu = request.unit, request.pdu
        if number == BROADCAST:
            return None
        fault = self.faults.strike(number, now_s) if self.faults else None
        if fault is not None and fault.name == "reset_connection":
            raise ConnectionReset
        if fault is not None and fault.name == "silence":
            return None
        unit = self.units.get(number)
        if unit is None:
            absent = Reply(number, _exception(pdu, ExceptionCode.NO_SUCH_UNIT))
            return absent if self._answers_for_absent else None
        unit.controller.tick()
        if not unit.controller.powered:
            return None
        if fault is None:
            return Reply(number, unit.answer(pdu))
        if fault.name == "exception_6":
            return Reply(number, _exception(pdu, ExceptionCode.BUSY))
        return _struck(fault, Reply(number, unit.answer(pdu)))


def _struck(fault: WireFault, reply: Reply) -> Reply | None:
    if fault.name == "lost_reply":
        return None
    if fault.name == "late_reply":
        return reply._replace(delay_s=fault.delay_s)
    if fault.name == "cut_frame":
        return reply._replace(cut_to=fault.after_bytes)
    if fault.name == "broken_crc":
        return reply._replace(spoil=True)
    return reply._replace(unit=reply.unit % 247 + 1)  # foreign_reply


def _exception(pdu: bytes, code: ExceptionCode) -> bytes:
    return bytes((pdu[0] | 0x80, code))
