"""What is said at the local door: one JSON object a line, a request and its answer by turns. Version 1.

    agent                                        command
    {"v":1,"gateway":…,"spool":…,"pid":…}      ─▶
                                               ◀─  {"v":1,"op":"read","bus":"yard","unit":3,"function":4,…}
    {"v":1,"ok":{"data":"574c…","at":81.25}}   ─▶
                                               ◀─  {"v":1,"op":"snapshot"}
    {"v":1,"error":"TryLater","text":"…"}      ─▶

Errors go by the name of their class in edge_agent.errors: a driver fares the same on either side of the door.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from edge_agent.config import MAX_BUSES
from edge_agent.modbus import MAX_READ, MAX_WRITE

SOCKET_NAME = "agent.sock"
MAX_REQUEST_BYTES = 4096
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_LEASE_S = 60.0
MAX_LOANS = MAX_BUSES

BusName = Annotated[str, Field(min_length=1, max_length=64)]
UnitId = Annotated[int, Field(ge=1, le=247)]
Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = 1

    def to_line(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode() + b"\n"


class Greeting(_Said):
    """Who is behind the door: a command compares it with its own configuration before it believes anything."""

    gateway: str
    site: str
    spool: str
    pid: int
    software: str


class HelloRequest(_Said):
    """Who is there, in its own words: the kernel's word is the process only, where the agent's user knows no others."""

    op: Literal["hello"] = "hello"
    user: Annotated[str, Field(max_length=64, pattern=r"^[\w.@-]*$")]
    command: Annotated[str, Field(max_length=64, pattern=r"^[\w.@-]*$")]


class SnapshotRequest(_Said):
    """Answered by a local.snapshot.Snapshot."""

    op: Literal["snapshot"] = "snapshot"


class ReadRequest(_Said):
    """One read of registers, between the polls. Answered by ReadAnswer."""

    op: Literal["read"] = "read"
    bus: BusName
    unit: UnitId
    function: Literal[3, 4]
    address: Address
    count: Annotated[int, Field(ge=1, le=MAX_READ)]


class WriteRequest(_Said):
    """One write of function 16; refused where it would touch the confirmation of records. Answered by WriteAnswer."""

    op: Literal["write"] = "write"
    bus: BusName
    unit: UnitId
    address: Address
    words: Annotated[tuple[Word, ...], Field(min_length=1, max_length=MAX_WRITE)]


class BorrowRequest(_Said):
    """Have the agent let go of a line for `lease_s`, or until this connection ends; repeated, it renews the lease."""

    op: Literal["borrow"] = "borrow"
    bus: BusName
    lease_s: Annotated[float, Field(gt=0, le=MAX_LEASE_S)]


class GiveBackRequest(_Said):
    """The agent may have the line again."""

    op: Literal["give_back"] = "give_back"
    bus: BusName


Request = Annotated[
    HelloRequest | SnapshotRequest | ReadRequest | WriteRequest | BorrowRequest | GiveBackRequest,
    Field(discriminator="op"),
]
_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class ReadAnswer(BaseModel):
    """`data`: the registers as hexadecimal bytes. `at`: middle of the transaction, by the machine's monotonic clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: str
    at: float


class WriteAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float


class Answer(_Said):
    """`ok` or `error` with its text (and the Modbus exception's `code`)."""

    ok: dict[str, Any] | None = None
    error: str | None = None
    text: str = ""
    code: int | None = None


def parse_request(line: bytes) -> Request:
    """Return the request in a line; ValueError where it isn't one of this version."""
    return _REQUEST.validate_json(line)
