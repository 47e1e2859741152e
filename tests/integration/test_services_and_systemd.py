"""What systemd sees of the programs: READY, WATCHDOG, an orderly end; and that they find their keys as credentials.

The test is systemd here: it listens on the notification socket, and hands over keys that are nowhere else.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.ports import free_port
from tests.unit.edge_agent.gateway import KEY

_LIMIT_S = 30
_CLEAN = (0, -signal.SIGTERM)  # systemd takes both for an orderly end


@dataclass(frozen=True)
class Manager:
    """As much of systemd as a service sees. `directory`: of the configuration, beside which there are no keys."""

    directory: Path
    socket: socket.socket
    environment: dict[str, str]

    def give(self, name: str, content: bytes) -> None:
        """Hand over file `name` of `keys` as LoadCredential does."""
        file = Path(self.environment["CREDENTIALS_DIRECTORY"]) / f"keys_{name}"
        file.write_bytes(content)
        file.chmod(0o400)

    def watch(self, package: str, *arguments: str) -> list[str]:
        """Start a service, end it once it has told that it is ready and lives, and return all that it told."""
        code = f"import sys; sys.argv[0] = {package!r}; from {package}.cli import main; main()"
        log = self.directory / "log"
        with log.open("wb") as stderr:
            service = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                env={**os.environ, **self.environment},
                stderr=stderr,
                stdout=subprocess.DEVNULL,
            )
        try:
            told = [self._hear(log), self._hear(log)]
            service.send_signal(signal.SIGTERM)
            assert service.wait(_LIMIT_S) in _CLEAN, log.read_text()
        finally:
            service.kill()
            service.wait()
        self.socket.setblocking(False)
        while True:
            try:
                told.append(self.socket.recv(1000).decode())
            except BlockingIOError:
                return told

    def _hear(self, log: Path) -> str:
        try:
            return self.socket.recv(1000).decode()
        except TimeoutError:
            pytest.fail(f"nothing was told: {log.read_text()}")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Manager]:
    address, credentials = tmp_path / "notify", tmp_path / "credentials"
    credentials.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.settimeout(_LIMIT_S)
        environment = {"NOTIFY_SOCKET": str(address), "CREDENTIALS_DIRECTORY": str(credentials)}
        yield Manager(tmp_path, listening, environment)


@pytest.fixture
def sink_config(systemd: Manager) -> Path:
    """A sink whose pseudonym key is a credential, and whose broker is away."""
    systemd.give("pseudonym.key", bytes(range(32)).hex().encode())
    (systemd.directory / "gateways.toml").write_text("")
    (systemd.directory / "lock-keys.csv").write_text("lock,from_epoch,key\n")
    config = systemd.directory / "cloud-sink.toml"
    config.write_text(
        f"""
        ledger = {{ url = "sqlite:///ledger.sqlite" }}
        mqtt = {{ host = "127.0.0.1", port = {free_port()} }}
        keys = {{ pseudonym_key = "keys/pseudonym.key" }}
        limits = {{ checking_processes = 0 }}
        feed = {{ publish = false }}
        """
    )
    return config


def assert_lived(told: list[str]) -> None:
    assert told[:2] == ["READY=1", "WATCHDOG=1"]
    assert set(told[2:]) <= {"WATCHDOG=1", "STOPPING=1"}


def test_the_agent_is_ready_lives_and_ends_with_its_key_from_systemd(systemd: Manager) -> None:
    pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    systemd.give("gateway.pem", pem)
    config = systemd.directory / "edge-agent.toml"
    config.write_text(
        f"""
        gateway = {{ id = "gw-0001", site = "site-1", signing_key = "keys/gateway.pem" }}
        spool = {{ path = "spool.db", reserve_mib = 1 }}
        mqtt = {{ host = "127.0.0.1", port = {free_port()} }}
        buses = [{{ name = "street", kind = "tcp", host = "127.0.0.1", port = {free_port()} }}]
        locks = [{{ serial = "1f00a1", bus = "street", unit = 1 }}]
        """
    )
    told = systemd.watch("edge_agent", "run", "--config", str(config))
    assert_lived(told)
    assert "STOPPING=1" in told


def test_the_sink_is_ready_lives_and_ends_with_its_key_from_systemd(
    systemd: Manager, sink_config: Path
) -> None:
    assert_lived(systemd.watch("cloud_sink", "run", "--config", str(sink_config)))


def test_projections_are_ready_live_and_end(systemd: Manager, sink_config: Path) -> None:
    assert_lived(systemd.watch("cloud_sink", "project", "--config", str(sink_config)))


@pytest.mark.usefixtures("sink_config")
def test_the_portal_is_ready_lives_and_ends(systemd: Manager) -> None:
    config = systemd.directory / "portal.toml"
    config.write_text(f'[web]\nport = {free_port()}\npublic_url = "http://127.0.0.1"\n')
    assert_lived(systemd.watch("portal", "serve", "--config", str(config)))
