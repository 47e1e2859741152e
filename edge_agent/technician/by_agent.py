"""The way through the running agent: requests at its local door, answered between its own transactions."""

import os
import pwd
import re
import select
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ValidationError

from edge_agent.config import AgentConfig, BusSettings
from edge_agent.drivers.base import Driver, Registers
from edge_agent.errors import (
    AgentOutOfReach,
    BrokenAnswer,
    EdgeAgentError,
    LineDown,
    NoAnswer,
    NotAllowed,
    Refused,
    TryLater,
    UnknownName,
)
from edge_agent.local.address import connect
from edge_agent.local.protocol import (
    MAX_ANSWER_BYTES,
    Answer,
    BorrowRequest,
    GiveBackRequest,
    Greeting,
    HelloRequest,
    ReadAnswer,
    ReadRequest,
    Request,
    SnapshotRequest,
    WriteAnswer,
    WriteRequest,
)
from edge_agent.local.snapshot import Snapshot
from edge_agent.modbus import Request as ModbusRequest
from edge_agent.modbus import describe, read_request, write_request
from edge_agent.technician.places import find_bus, find_lock, looking_driver

LEASE_S = 15.0
_RENEW_S = 5.0
_PATIENCE_S = 60.0  # for one answer: a transaction may wait for others, each of which ends by time-out
_ERRORS: dict[str, type[EdgeAgentError]] = {
    error.__name__: error for error in (NoAnswer, BrokenAnswer, LineDown, TryLater, NotAllowed, UnknownName)
}
_Model = TypeVar("_Model", bound=BaseModel)


class DoorClient:
    """One connection to the door, made anew where the agent has closed it for want of talk. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where there is no door, AgentOutOfReach or TryLater where nobody lets us in."""
        self._path = path
        self._guard = threading.Lock()
        self._connection = connect(path, _PATIENCE_S)
        try:
            self._lines = self._connection.makefile("rb")
            self.greeting = self._meet()
        except BaseException:
            self._connection.close()
            raise

    def ask(self, request: Request, answer: type[_Model], doing: ModbusRequest | None = None) -> _Model:
        """Return the answer, or raise the error that it names. `doing`: what a controller was asked."""
        with self._guard:
            try:
                if self._is_closed():
                    self._connect_again()
                self._connection.sendall(request.to_line())
                line = self._receive()
            except OSError as error:
                self.close()
                raise AgentOutOfReach(
                    f"{self._path}: the agent has ended or is stuck ({error}): start this command again"
                ) from error
            except BaseException:
                self.close()  # an answer may still come: nobody may take it for that of the next request
                raise
        said = _parse(Answer, line)
        if said.error is not None:
            raise _error(said, doing)
        return _parse_object(answer, said.ok)

    def close(self) -> None:
        with suppress(OSError):
            self._lines.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_closed(self) -> bool:
        """True if we, or the other side, hung up: nothing comes unasked but the end."""
        if self._connection.fileno() < 0:
            return True
        return bool(select.select([self._connection], [], [], 0)[0])

    def _connect_again(self) -> None:
        self.close()
        self._connection = connect(self._path, _PATIENCE_S)
        self._lines = self._connection.makefile("rb")
        self.greeting = self._meet()

    def _meet(self) -> Greeting:
        """Exchange who we are."""
        greeting = _parse(Greeting, self._receive())
        hello = HelloRequest(user=_plain(user_name()), command=_plain(" ".join(sys.argv[1:2])))
        self._connection.sendall(hello.to_line())
        _parse(Answer, self._receive())
        return greeting

    def _receive(self) -> bytes:
        line = self._lines.readline(MAX_ANSWER_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the connection broke off")
        return line


class _Registers:
    """One unit's registers behind the door (drivers.base.Registers)."""

    def __init__(self, client: DoorClient, bus: str, unit: int) -> None:
        self.exchanged_at = 0.0
        self._client = client
        self._bus = bus
        self._unit = unit

    def read(self, function: int, address: int, count: int) -> bytes:
        doing = read_request(self._unit, function, address, count)
        request = ReadRequest(
            bus=self._bus, unit=self._unit, function=_function(function), address=address, count=count
        )
        answer = self._client.ask(request, ReadAnswer, doing)
        self.exchanged_at = answer.at
        data = bytes.fromhex(answer.data)
        if len(data) != 2 * count:
            raise BrokenAnswer(f"{describe(doing)}: the agent gave {len(data)} bytes")
        return data

    def write(self, address: int, words: Sequence[int]) -> None:
        doing = write_request(self._unit, address, words)
        request = WriteRequest(bus=self._bus, unit=self._unit, address=address, words=tuple(words))
        self.exchanged_at = self._client.ask(request, WriteAnswer, doing).at


class AgentAccess:
    """access.FieldAccess by way of the agent."""

    via: Literal["agent", "direct"] = "agent"

    def __init__(self, config: AgentConfig, client: DoorClient) -> None:
        self.config = config
        self._client = client

    def registers(self, bus: str, unit: int) -> Registers:
        return _Registers(self._client, find_bus(self.config, bus).name, unit)

    def driver(self, lock: str) -> Driver:
        settings = find_lock(self.config, lock)
        registers = self.registers(settings.bus, settings.unit)
        driver = looking_driver(settings, registers)
        driver.identify()
        return driver

    @contextmanager
    def borrow(self, bus: str) -> Iterator[BusSettings]:
        settings = find_bus(self.config, bus)
        request = BorrowRequest(bus=bus, lease_s=LEASE_S)
        self._client.ask(request, Answer)
        done = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(request, done), name="lease", daemon=True)
        renewal.start()
        try:
            yield settings
        finally:
            done.set()
            renewal.join()
            with suppress(EdgeAgentError):  # it has ended: there is nobody to give it back to
                self._client.ask(GiveBackRequest(bus=bus), Answer)

    def snapshot(self) -> Snapshot:
        return self._client.ask(SnapshotRequest(), Snapshot)

    def _renew(self, request: BorrowRequest, done: threading.Event) -> None:
        while not done.wait(_RENEW_S):
            with suppress(
                EdgeAgentError
            ):  # the agent ended: nobody else wants the line, and giving back will tell
                self._client.ask(request, Answer)


def user_name() -> str:
    """Return who runs this command."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without an entry, as in some containers
        return str(os.getuid())


def _plain(text: str) -> str:
    return re.sub(r"[^\w.@-]", "", text)[:64]


def _function(function: int) -> Literal[3, 4]:
    return 3 if function == 3 else 4


def _parse(model: type[_Model], line: bytes) -> _Model:
    try:
        if model is Greeting and b'"error"' in line:  # no place for another command
            refusal = Answer.model_validate_json(line)
            raise TryLater(refusal.text)
        return model.model_validate_json(line)
    except ValidationError as error:
        raise _other_release(error) from error


def _parse_object(model: type[_Model], value: object) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _other_release(error) from error


def _other_release(error: ValidationError) -> AgentOutOfReach:
    first = error.errors(include_url=False, include_input=False)[0]
    return AgentOutOfReach(
        f"the agent talks otherwise than this command ({first['msg']}): they are of two releases; restart the agent"
    )


def _error(said: Answer, doing: ModbusRequest | None) -> EdgeAgentError:
    if said.error == Refused.__name__ and said.code is not None and doing is not None:
        return Refused(said.code, describe(doing))
    return _ERRORS.get(said.error or "", AgentOutOfReach)(said.text)
