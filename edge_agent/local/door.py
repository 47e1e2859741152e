"""The agent's local door: a socket for technicians' commands on this machine (protocol.py says what is said there).

Who may come in is for the file system: /run/wastelock and the socket are open to the group `wastelock` and nobody else.
Who came in is logged. Nothing of the agent waits for a command: each has a thread of its own, its transactions take
turns with the polls; how many there may be, how much they may say and how long they may be silent is bounded.
"""

import pwd
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import structlog
from pydantic import ValidationError

from edge_agent.errors import EdgeAgentError, Refused
from edge_agent.local.address import connect, short_address
from edge_agent.local.attendant import Attendant, Guest
from edge_agent.local.protocol import MAX_REQUEST_BYTES, Answer, parse_request

PLACES = 8
IDLE_S = 300.0
_SEND_S = 10.0
_LOOK_S = 0.5
_AGAIN_S = 10.0
_CREDENTIALS = struct.Struct("3i")
# What the kernel tells of all users but two: the service runs in a user namespace of its own (PrivateUsers=).
_UNKNOWN_UID = 65_534

_log = structlog.get_logger(__name__)


class Door:
    """`run` is the thread. A socket that can't be made is tried again: it stops no lock from being read."""

    def __init__(self, path: Path, attendant: Attendant, idle_s: float = IDLE_S) -> None:
        """`idle_s`: so long may a command say nothing."""
        self._path = path
        self._attendant = attendant
        self._idle_s = idle_s
        self._guard = threading.Lock()
        self._inside = 0

    def run(self, stop: threading.Event) -> None:
        """Let commands in until asked to stop."""
        complained = ""
        while not stop.is_set():
            try:
                listener = self._listen()
            except OSError as error:
                why = f"{self._path}: {error.strerror or error}"
                if why != complained:
                    _log.error("technicians' commands can't reach the agent: no socket, trying on", why=why)
                complained = why
                stop.wait(_AGAIN_S)
                continue
            with listener:
                _log.info("the local door is open", socket=str(self._path))
                while not stop.is_set():
                    self._take_turn(listener, stop)
                self._path.unlink(missing_ok=True)

    def _take_turn(self, listener: socket.socket, stop: threading.Event) -> None:
        """Let the next command in, if one comes; see after loans."""
        try:
            self._let_in(listener.accept()[0])
        except TimeoutError:
            pass
        except (OSError, RuntimeError) as error:  # no descriptor or thread to be had now: there will be
            _log.error("a technician's command couldn't be let in", why=str(error))
            stop.wait(_LOOK_S)
        self._attendant.tend()

    def _listen(self) -> socket.socket:
        """Return the socket, in the place of one that a killed agent left. OSError where that can't be."""
        try:
            connect(self._path, _SEND_S).close()
            raise OSError("another agent is there; give each a [local] socket of its own")
        except PermissionError as error:
            # Not taken over: whoever made it may listen there, and this user can't ask.
            raise OSError(
                f"a socket of {_owner(self._path)} is in the way, and this user may not ask whether anybody listens "
                f"there; remedy: end the agent that was started by hand, then delete it: sudo rm {self._path}"
            ) from error
        except (ConnectionRefusedError, FileNotFoundError):
            pass  # a killed agent's, or none
        # Under another name until somebody listens: a command that finds the door must be able to come in.
        fresh = self._path.with_name(f".{self._path.name}")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_address(fresh) as address:
                listener.bind(address)
            fresh.chmod(0o660)
            listener.listen(PLACES)
            listener.settimeout(_LOOK_S)
            fresh.replace(self._path)
        except OSError:
            listener.close()
            raise
        return listener

    def _let_in(self, connection: socket.socket) -> None:
        guest = _guest(connection)
        with self._guard:
            has_place = self._inside < PLACES
            self._inside += has_place
        if not has_place:
            text = f"{PLACES} commands talk to the agent already: end one of them"
            with connection, suppress(OSError):
                connection.settimeout(_SEND_S)
                connection.sendall(Answer(error="TryLater", text=text).to_line())
            return
        thread = threading.Thread(
            target=self._serve, args=(connection, guest), name="local door", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._leave(connection)
            raise

    def _serve(self, connection: socket.socket, guest: Guest) -> None:
        try:
            # Who goes away in the middle of an answer, or says nothing for too long, is no news.
            with suppress(OSError):
                self._talk(connection, guest)
        finally:
            self._attendant.has_left(guest)
            self._leave(connection)

    def _leave(self, connection: socket.socket) -> None:
        connection.close()
        with self._guard:
            self._inside -= 1

    def _talk(self, connection: socket.socket, guest: Guest) -> None:
        connection.settimeout(self._idle_s)
        connection.sendall(self._attendant.greeting().to_line())
        with connection.makefile("rb") as lines:
            while line := lines.readline(MAX_REQUEST_BYTES + 1):
                if len(line) > MAX_REQUEST_BYTES:
                    connection.sendall(_refusal(f"a request has at most {MAX_REQUEST_BYTES} bytes").to_line())
                    return
                connection.sendall(self._answer(line, guest).to_line())

    def _answer(self, line: bytes, guest: Guest) -> Answer:
        try:
            return self._attendant.answer(parse_request(line), guest)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            at = ".".join(str(part) for part in first["loc"])
            return _refusal(
                f"no request of version 1: {at}: {first['msg']}; agent and command are of one release"
            )
        except EdgeAgentError as error:
            code = error.code if isinstance(error, Refused) else None
            return Answer(error=type(error).__name__, text=str(error), code=code)


def _refusal(text: str) -> Answer:
    return Answer(error="NotAllowed", text=text)


def _guest(connection: socket.socket) -> Guest:
    """Return who is at the other end, as the kernel knows them."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    if uid == _UNKNOWN_UID:
        return Guest(pid)
    try:
        return Guest(pid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Guest(pid, str(uid))


def _owner(path: Path) -> str:
    """Return whose a file is, as far as that can be seen."""
    try:
        return f"user {path.owner()}"
    except (OSError, KeyError):
        return "another user"
