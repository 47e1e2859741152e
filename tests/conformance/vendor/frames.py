"""Requests and answers without their frame: function code and what follows it."""

import struct
from dataclasses import dataclass

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
BAD_FUNCTION, BAD_ADDRESS, BAD_VALUE, REFUSED, BUSY, NO_SUCH_UNIT = 1, 2, 3, 4, 6, 0x0B
MOST_WORDS_READ, MOST_WORDS_WRITTEN = 125, 123


class Refusal(Exception):
    """The request is answered with this exception code."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(f"exception {code}{': ' + why if why else ''}")
        self.code = code
        self.why = why


@dataclass(frozen=True)
class Request:
    """One request to one unit. `data` holds what is written, 2 bytes a word."""

    unit: int
    function: int
    address: int = 0
    words: int = 0
    data: bytes = b""

    @property
    def is_write(self) -> bool:
        return self.function in (WRITE_ONE, WRITE_MANY)

    def __str__(self) -> str:
        return f"unit {self.unit} function {self.function} at {self.address:#06x} for {self.words} words"


def parse_request(unit: int, body: bytes) -> Request:
    """Read function code and what follows; Refusal 3 where lengths don't fit, 1 for functions that nobody has."""
    function = body[0]
    if function in (READ_HOLDING, READ_INPUT) and len(body) == 5:
        address, words = struct.unpack(">HH", body[1:])
        if not 1 <= words <= MOST_WORDS_READ:
            raise Refusal(BAD_VALUE, f"a read of {words} words")
        return Request(unit, function, address, words)
    if function == WRITE_ONE and len(body) == 5:
        return Request(unit, function, int.from_bytes(body[1:3], "big"), 1, body[3:])
    if function == WRITE_MANY and len(body) >= 6:
        address, words, size = struct.unpack(">HHB", body[1:6])
        if not 1 <= words <= MOST_WORDS_WRITTEN or size != 2 * words or len(body) != 6 + size:
            raise Refusal(BAD_VALUE, f"a write of {words} words in {len(body)} bytes")
        return Request(unit, function, address, words, body[6:])
    if function in (READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY):
        raise Refusal(BAD_VALUE, f"function {function} in {len(body)} bytes")
    raise Refusal(BAD_FUNCTION, f"function {function}")


def answer_read(request: Request, data: bytes) -> bytes:
    return bytes((request.function, len(data))) + data


def answer_write(request: Request) -> bytes:
    """Echo of address and value (function 6) or of address and number of words (16)."""
    tail = request.data if request.function == WRITE_ONE else request.words.to_bytes(2, "big")
    return bytes((request.function,)) + request.address.to_bytes(2, "big") + tail


def answer_refusal(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))
