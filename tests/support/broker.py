"""A private mosquitto on a free port of 127.0.0.1, with its own directory for state and log."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port, is_listening
from tests.support.server import ServerFailed, ServerProcess

# Debian puts it where only root's PATH looks.
PROGRAM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
_START_TRIES = 5

# What config/mosquitto.conf asks for, so that tests meet the broker that we ship (design 7). No settings but these:
# pass `defaults=()` for mosquitto as it comes, which drops messages in silence.
FIT_FOR_THE_JOB = (
    "max_inflight_messages 0",
    "max_queued_messages 0",
    "max_queued_bytes 268435456",
    "set_tcp_nodelay true",
    "autosave_interval 1",
)


class Broker:
    """`with Broker(tmp_path) as broker: connect(broker.host, broker.port)`.

    The port stays the same through `stop`, `kill` and `start`; so does what mosquitto has saved in `directory`.
    `conf_lines` are added to its configuration as they are (`defaults` can be replaced, too).
    """

    host = "127.0.0.1"

    def __init__(
        self, directory: Path, conf_lines: Sequence[str] = (), defaults: Sequence[str] = FIT_FOR_THE_JOB
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self._lines = [*defaults, *conf_lines]
        self._started_once = False
        self._server = ServerProcess("mosquitto", directory / "mosquitto.log")

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def running(self) -> bool:
        return self._server.running

    def start(self) -> Self:
        """Start mosquitto and return when it accepts connections."""
        program = shutil.which("mosquitto", path=PROGRAM_PATH)
        if program is None:
            raise ServerFailed("mosquitto isn't installed: run `make setup`")
        for attempt in range(1, _START_TRIES + 1):
            try:
                self._server.start(
                    [program, "-c", str(self._write_config())], lambda: is_listening(self.port)
                )
                break
            except ServerFailed:
                # Somebody may have been quicker to take the port; once clients know it, it must not change any more.
                if self._started_once or attempt == _START_TRIES or "in use" not in self._server.log_tail():
                    raise
                self.port = free_port()
        self._started_once = True
        return self

    def stop(self) -> None:
        """Let mosquitto end in order: it saves its state."""
        self._server.stop()

    def kill(self) -> None:
        """kill -9: what wasn't saved is gone."""
        self._server.kill()

    def restart(self) -> None:
        """Stop (if it runs) and start again on the same port."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Freeze it: connections stay open, nothing is answered. `resume` lets it go on."""
        self._server.suspend()

    def resume(self) -> None:
        self._server.resume()

    def log_tail(self) -> str:
        return self._server.log_tail()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()  # quicker than an orderly end, and it also ends a suspended one

    def _write_config(self) -> Path:
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.directory}/",
            "log_dest stdout",
            *(
                ["user root"] if os.geteuid() == 0 else []
            ),  # else it would give up the right to its own directory
            *self._lines,
        ]
        config = self.directory / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        return config
