"""A checking process: `python -m cloud_sink.checker DESCRIPTOR`, started by a sink and by nobody else.

It reads messages from a socket that it was born with, checks them, and writes back what became of them. It keeps
nothing: whatever happens to it, the sink hasn't acknowledged what was here, and gets it again. It ends when the socket
does, that is with its sink, however that ended; signals that are meant for the sink don't concern it.
"""

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from traceback import extract_tb
from types import TracebackType

from cloud_sink.checker_wire import Answers, Failed, NewKeys, decode_request, encode, give_answer, take_keys
from cloud_sink.checking import check_message
from cloud_sink.interpreter import tune_collector
from cloud_sink.keys import KeyRing

_GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # what is left of a sink that isn't there any more


def serve(connection: "Connection[bytes, bytes]") -> None:
    """Answer until the other end is closed."""
    keys: KeyRing | None = None
    while True:
        request = decode_request(connection.recv_bytes())
        if isinstance(request, NewKeys):
            keys = take_keys(request, keys)
            tune_collector()
        elif keys is not None:
            answers = [give_answer(check_message(message, keys)) for message in request.messages]
            connection.send_bytes(encode(Answers(answers)))


def main(arguments: Sequence[str]) -> None:
    """Entry point; the one argument is the socket's file descriptor."""
    connection: Connection[bytes, bytes] = Connection(int(arguments[0]))

    def say_last_words(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
        places = [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in extract_tb(trace)]
        connection.send_bytes(encode(Failed(kind.__name__, places)))

    sys.excepthook = say_last_words
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(*_GONE):
        serve(connection)


if __name__ == "__main__":
    main(sys.argv[1:])
