"""The real cloud sink as a process of its own: `cloud-sink run` on a configuration in a temporary directory."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cloud_sink.reading import LedgerReader
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import write_keys
from tests.support.server import ServerProcess
from tests.support.waiting import wait_until

_COMMAND = (sys.executable, "-c", "from cloud_sink.cli import main; main()")


class SinkProcess:
    """`with SinkProcess(directory, url, broker_port, [gateway]) as sink:`; it is connected when that begins."""

    def __init__(
        self,
        directory: Path,
        url: str,
        broker_port: int,
        gateways: Iterable[FakeGateway],
        locks: Iterable[FakeLock] = (),
        mqtt: str = "",
        limits: str = "",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.config = directory / "cloud-sink.toml"
        self.config.write_text(
            f'[ledger]\nurl = "{url}"\n[mqtt]\nport = {broker_port}\n{mqtt}\n'
            f"[limits]\nreport_interval_s = 0.2\nresend_after_s = 0.3\nresend_at_most_every_s = 1\n{limits}\n"
        )
        write_keys(directory, gateways, locks)
        self._server = ServerProcess("cloud-sink", directory / "cloud-sink.log")
        self._url = url
        self._reader: LedgerReader | None = None

    @property
    def running(self) -> bool:
        return self._server.running

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself."""
        return self._server.exit_code

    @property
    def checkers(self) -> list[int]:
        """The pids of its checking processes."""
        tasks = Path(f"/proc/{self.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    @property
    def log(self) -> str:
        path = self._server.log
        return path.read_text() if path.exists() else ""

    def start(self, connected: bool = True) -> Self:
        """Start it and return when it is connected to the broker (`connected=False`: when it runs)."""
        before = self.connections
        self._server.start(
            [*_COMMAND, "run", "--config", str(self.config)],
            lambda: not connected or self.connections > before,
            timeout_s=30,
        )
        return self

    @property
    def connections(self) -> int:
        """How often it has connected to the broker so far."""
        return self.log.count("connected to the broker")

    @property
    def reader(self) -> LedgerReader:
        """The ledger, read from the test's own process; closed with the sink."""
        if self._reader is None:
            self._reader = LedgerReader(self._url)
        return self._reader

    def stop(self) -> None:
        self._server.stop(timeout_s=5)

    def kill(self) -> None:
        self._server.kill()

    def wait_for_end(self) -> None:
        wait_until(lambda: not self._server.running, 10, "the sink to end by itself")

    def ask(self, *arguments: str, expect: int = 0) -> str:
        """Run a command of the sink and return what it prints."""
        command, *options = arguments
        done = subprocess.run(
            [*_COMMAND, command, "--config", str(self.config), *options],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == expect, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
        return done.stdout if expect == 0 else done.stderr

    def export(self, *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("export", *options).splitlines()]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._reader is not None:
            self._reader.close()
