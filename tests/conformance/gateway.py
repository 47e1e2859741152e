"""The real agent as its users run it: a configuration file, a key, a process that may be killed at any instant."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.waiting import wait_until

GATEWAY, SITE = "gw-conformance", "site-1"
Value = str | int | float | Sequence[Mapping[str, "Value"]]
_ENDS_WITHIN_S = 5.0
_STARTS_WITHIN_S = 30.0
_SLACK_S = 3.0  # for a machine that is busy with other things


class Gateway:
    """`edge-agent run` on a configuration. Everything lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.spool = directory / "spool.db"
        self.log = directory / "agent.log"
        self.starts = 0
        self._config = directory / "edge-agent.toml"
        self._key_file = directory / "signing-key.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0  # bytes of log when it was started last
        self.key = Ed25519PrivateKey.generate()
        self._key_file.touch(mode=0o600)
        self._key_file.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def configure(
        self,
        broker_port: int,
        buses: Sequence[Mapping[str, Value]],
        locks: Sequence[Mapping[str, Value]],
        *,
        clock_source: str = "ntp",
        max_mib: int = 64,
    ) -> None:
        sections: dict[str, Mapping[str, Value]] = {
            "gateway": {"id": GATEWAY, "site": SITE, "signing_key": self._key_file.name},
            "spool": {"path": self.spool.name, "max_mib": max_mib, "keep_days": 30, "reserve_mib": 1},
            "mqtt": {"host": "127.0.0.1", "port": broker_port, "keepalive_s": 5},
            "clock": {"source": clock_source, "set_beyond_s": SETS_CLOCK_BEYOND_S},
            "reporting": {"telemetry_interval_s": 3600, "state_interval_s": 3600},
        }
        lines = [line for name, table in sections.items() for line in (f"[{name}]", *_toml(table))]
        for name, tables in (("buses", buses), ("locks", locks)):
            lines += [line for table in tables for line in (f"[[{name}]]", *_toml(table))]
        self._config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge_agent.cli", "run", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def wait_at_work(self) -> None:
        """Return when it polls: before that it can't even be asked to stop."""
        wait_until(self._says_that_it_runs, _STARTS_WITHIN_S, lambda: f"the agent\n{self.log_tail()}", 0.05)

    def _says_that_it_runs(self) -> bool:
        if not self.running:
            raise AssertionError(f"the agent has ended by itself\n{self.log_tail()}")
        return b"agent runs" in self.log.read_bytes()[self._said_before :]

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> str | None:
        """Ask it to end; return what was wrong with how it did."""
        process = self._process
        if process is None:
            return "the agent was never started"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_ENDS_WITHIN_S + _SLACK_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"the agent didn't end within {_ENDS_WITHIN_S} s of SIGTERM"
        if code != 0:
            return f"the agent ended with exit code {code} after {time.monotonic() - began:.1f} s"
        return None

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""


SETS_CLOCK_BEYOND_S = 30


def _toml(table: Mapping[str, Value]) -> list[str]:
    return [f"{key} = {_toml_value(value)}" for key, value in table.items()]


def _toml_value(value: Value) -> str:
    if isinstance(value, str | int | float):
        return json.dumps(value)
    tables = (", ".join(f"{key} = {_toml_value(inner)}" for key, inner in table.items()) for table in value)
    return f"[{', '.join(f'{{ {table} }}' for table in tables)}]"
