"""Asks one unit who it is, on any line: by reading its identity, which changes nothing, several times if need be."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

from edge_agent.errors import BrokenAnswer, NoAnswer, Refused
from edge_agent.line import Line
from edge_agent.modbus import READ_INPUT, read_request
from wastelock.registers import (
    IDENTITY_ADDRESS,
    IDENTITY_WORDS,
    ExceptionCode,
    Identity,
    NotThisMap,
    decode_identity,
)

LOOKS = 6  # at whoever answers: two units of one id don't give themselves away each time
_IDENTITY = struct.Struct(f">{IDENTITY_WORDS}H")


class Heard(StrEnum):
    """What came back."""

    NOTHING = "nothing"
    IDENTITY = "identity"
    OTHER_MAP = "other map"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a unit. `took_ms` where it answered; `why`: what is wrong with what came."""

    heard: Heard
    identity: Identity | None = None
    took_ms: float | None = None
    why: str = ""


def look(line: Line, unit: int, clock: Callable[[], float] = monotonic) -> Look:
    """Ask a unit for its identity. Raises LineDown where the line itself fails."""
    if not line.is_open:
        line.open()  # a connection closes itself after some silence, since it may be half-open
    request = read_request(unit, READ_INPUT, IDENTITY_ADDRESS, IDENTITY_WORDS)
    began = clock()
    try:
        data = line.exchange(request)
    except NoAnswer:
        return Look(Heard.NOTHING)
    except BrokenAnswer as error:
        return Look(Heard.BROKEN, why=str(error))
    except Refused as error:
        if error.code == ExceptionCode.BUSY:  # a waste lock may be; who it is will be told by the next look
            return Look(Heard.BROKEN, why="busy")
        return Look(Heard.OTHER_MAP, took_ms=_ms(clock() - began), why=f"Modbus exception {error.code}")
    took_ms = _ms(clock() - began)
    try:
        return Look(Heard.IDENTITY, decode_identity(_IDENTITY.unpack(data)), took_ms)
    except NotThisMap as error:
        return Look(Heard.OTHER_MAP, took_ms=took_ms, why=str(error))


def look_closely(line: Line, unit: int, clock: Callable[[], float] = monotonic) -> tuple[Look, ...]:
    """Ask a unit once, and several times more if anything came back."""
    first = look(line, unit, clock)
    if first.heard is Heard.NOTHING:
        return (first,)
    return (first, *(look(line, unit, clock) for _ in range(LOOKS - 1)))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
