"""One Modbus request and what may count as its answer: PDUs, free of I/O and of framing.

pymodbus makes the request's bytes. Answers are taken apart here, because what comes back decides whether a pour is
confirmed: unit, function, byte count and echo must all fit, else it is BrokenAnswer, never a value.

    read  3/4   request [ fc ][ address ][ count ]                     answer [ fc ][ bytes ][ data … ]
    write 16    request [ fc ][ address ][ count ][ bytes ][ data … ]  answer [ fc ][ address ][ count ]
    exception                                                          answer [ fc | 0x80 ][ code ]
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
)

from edge_agent.errors import BrokenAnswer, NoAnswer, Refused

READ_HOLDING, READ_INPUT, WRITE_MULTIPLE = 3, 4, 16
MAX_READ, MAX_WRITE = 125, 123
EXCEPTION_BYTES = 2

# A serial server's way to say that the unit behind it is silent: it isn't the unit that answers.
_GATEWAY_PATH_UNAVAILABLE, _GATEWAY_TARGET_SILENT = 0x0A, 0x0B
SAID_BY_SERVER = "the serial server says that this unit doesn't answer"


@dataclass(frozen=True, slots=True)
class Request:
    """One request PDU, the length of its normal answer PDU, and the first bytes that this must begin with."""

    unit: int
    pdu: bytes
    answer_bytes: int
    answer_head: bytes

    @property
    def function(self) -> int:
        return self.pdu[0]


def read_request(unit: int, function: int, address: int, count: int) -> Request:
    """Return the request for `count` (1..125) registers by function 3 or 4; anything else is a ValueError."""
    if function not in (READ_HOLDING, READ_INPUT):
        raise ValueError(f"registers are read by function 3 or 4, not {function}")
    kind = ReadInputRegistersRequest if function == READ_INPUT else ReadHoldingRegistersRequest
    body = kind(address=address, count=count).encode()
    return Request(unit, bytes((function,)) + body, 2 + 2 * count, bytes((function, 2 * count)))


def write_request(unit: int, address: int, words: Sequence[int]) -> Request:
    """Return the function 16 request that writes 1..123 words; anything else is a ValueError."""
    if not 1 <= len(words) <= MAX_WRITE:
        raise ValueError(f"a write takes 1..{MAX_WRITE} words, got {len(words)}")
    body = WriteMultipleRegistersRequest(address=address, registers=words).encode()
    pdu = bytes((WRITE_MULTIPLE,)) + body
    return Request(unit, pdu, 5, pdu[:5])


def answer_length(request: Request, function: int) -> int | None:
    """Return how long the answer PDU is that begins with this function byte, None if it can't be this request's."""
    if function == request.function:
        return request.answer_bytes
    if function == request.function | 0x80:
        return EXCEPTION_BYTES
    return None


def take_answer(request: Request, pdu: bytes) -> bytes:
    """Return the data of a read (b"" of a write), or raise Refused, NoAnswer or BrokenAnswer.

    `pdu` is what the frame held, its unit already checked.
    """
    head = request.answer_head
    if len(pdu) == request.answer_bytes and pdu.startswith(head):
        return pdu[len(head) :]
    if len(pdu) == EXCEPTION_BYTES and pdu[0] == request.function | 0x80:
        return _raise_exception(request, pdu[1])
    raise BrokenAnswer(
        f"{describe(request)}: expected {request.answer_bytes} bytes that begin {head.hex()}, "
        f"got {len(pdu)} that begin {pdu[: len(head)].hex()}"
    )


def describe(request: Request) -> str:
    """Return what a request is about, for error texts."""
    address, count = int.from_bytes(request.pdu[1:3], "big"), int.from_bytes(request.pdu[3:5], "big")
    doing = "writing" if request.function == WRITE_MULTIPLE else "reading"
    return f"unit {request.unit}: {doing} {count} registers at 0x{address:04X} by function {request.function}"


def _raise_exception(request: Request, code: int) -> bytes:
    if code in (_GATEWAY_PATH_UNAVAILABLE, _GATEWAY_TARGET_SILENT):
        raise NoAnswer(f"{describe(request)}: {SAID_BY_SERVER}")
    raise Refused(code, describe(request))
