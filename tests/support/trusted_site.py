"""A whole installation with its own authority: the shipped broker over TLS, a sink, `ca run`, one enrolled gateway.

Everything is set up as docs/operations-keys.md tells it, by the commands; processes are real.
"""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from typer.testing import CliRunner

from cloud_sink.cli import app as cloud_sink
from cloud_sink.reading import LedgerReader
from edge_agent.commands import app as edge_agent
from tests.support.certificates import KeyPair
from tests.support.controller import Controller
from tests.support.ledger import write_keys
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.server import ServerProcess
from tests.support.shipped_broker import ShippedBroker, with_field_settings
from tests.support.waiting import wait_until

GATEWAY, SITE = "gw-0001", "lindenhof"


class TrustedSite:
    """`with TrustedSite(tmp_path) as site:`: broker and sink run; `enrol` and `agent.start` are the test's to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cloud = directory / "cloud-sink.toml"
        self.field = directory / "agent.toml"
        self.identity = directory / "identity"
        self.broker_files = directory / "broker"
        self.broker_files.mkdir()
        self.controller = Controller(capacity=512)
        self.bus = TcpPeer({1: self.controller}, free_port())
        config = with_field_settings(self.broker_files)
        self.broker = ShippedBroker(
            self.broker_files, f"{config}\ncrlfile {self.broker_files}/ca.crl\nlog_type information\n"
        )
        self.sink = ServerProcess("cloud-sink", directory / "sink.log")
        self.authority = ServerProcess("authority", directory / "authority.log")
        self.agent = ServerProcess("edge-agent", directory / "agent.log")
        self._write_configurations()
        self._make_authority()

    def cloud_sink(self, *arguments: str, expect: int = 0) -> str:
        """Run a command in the cloud; return what it says: on standard output, or where it fails on standard error."""
        done = CliRunner().invoke(cloud_sink, [*arguments, "--config", str(self.cloud)])
        assert done.exit_code == expect, done.output
        return done.stdout if expect == 0 else done.stderr

    def edge_agent(self, *arguments: str, expect: int = 0) -> str:
        """Run a command at the gateway."""
        done = CliRunner().invoke(edge_agent, [*arguments, "--config", str(self.field)])
        assert done.exit_code == expect, done.output
        return done.stdout

    def enrol(self) -> None:
        """By file, as without a network."""
        request, answer = str(self.directory / "request"), str(self.directory / "answer")
        token = self.cloud_sink("enroll", "token", GATEWAY, "--site", SITE).splitlines()[0]
        self.edge_agent("enroll", "--token", token, "--request", request)
        self.cloud_sink("enroll", "sign", request, "--answer", answer)
        self.edge_agent("enroll", "--accept", answer)
        self.reload_broker()

    def tls(self, name: str) -> tuple[Path, KeyPair]:
        """Return what a test's own client connects with: a program's certificate, or that of the gateway."""
        authority = self.directory / "ca" / "ca.crt"
        if name == GATEWAY:
            current = self.identity / "current"
            return authority, KeyPair(current / "gateway.crt", current / "gateway.key")
        return authority, KeyPair(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    def reload_broker(self) -> None:
        """As `systemctl reload mosquitto` does; returns once it has read its files."""
        before = self.broker.server.log.read_text().count("Reloading config")
        os.kill(self.broker.server.pid, signal.SIGHUP)
        wait_until(
            lambda: self.broker.server.log.read_text().count("Reloading config") > before, 10, "the reload"
        )

    def start_authority(self) -> None:
        self.authority.start(
            _program("cloud_sink.cli", "ca", "run", "--config", self.cloud),
            lambda: "connected to the broker" in self.authority.log.read_text(),
        )

    def start_agent(self) -> None:
        before = self.connections
        self.agent.start(
            _program("edge_agent.cli", "run", "--config", self.field), lambda: self.connections > before
        )

    @property
    def connections(self) -> int:
        """How often the agent has connected so far."""
        log = self.agent.log
        return log.read_text().count("connected to the broker") if log.exists() else 0

    def seqs(self) -> list[int]:
        """Return the sequence numbers of all records in the ledger."""
        reader = LedgerReader(self._url)
        try:
            return [entry.seq for entry in reader.all_entries()]
        finally:
            reader.close()

    def wait_for_truth(self) -> None:
        """Wait until the ledger holds each record of the controller's journal, and none twice."""
        truth = list(range(1, self.controller.newest + 1))
        wait_until(
            lambda: sorted(self.seqs()) == truth, 30, lambda: f"{self.seqs()}\n{self.agent.log_tail()}"
        )

    def __enter__(self) -> Self:
        self.broker.start()
        self.sink.start(
            _program("cloud_sink.cli", "run", "--config", self.cloud),
            lambda: "connected to the broker" in self.sink.log.read_text(),
        )
        self.bus.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self.agent, self.authority, self.sink, self.broker.server):
            process.kill()
        self.bus.stop()

    def _write_configurations(self) -> None:
        directory = self.directory
        self._url = f"sqlite:///{directory / 'ledger.sqlite'}"
        write_keys(directory, [])
        self.cloud.write_text(
            f"""
            [ledger]
            url = "{self._url}"
            [mqtt]
            host = "127.0.0.1"
            port = {self.broker.port}
            ca_file = "ca/ca.crt"
            cert_file = "sink-1.crt"
            key_file = "sink-1.key"
            [keys]
            enrolled = "enrolled.toml"
            [authority]
            crl_file = "broker/ca.crl"
            acl_file = "broker/wastelock-acl.conf"
            key_grace_s = 1
            cert_file = "ca-1.crt"
            key_file = "ca-1.key"
            [limits]
            checking_processes = 0
            """
        )
        self.field.write_text(
            f"""
            gateway = {{ id = "{GATEWAY}", site = "{SITE}" }}
            spool = {{ path = "spool.db", reserve_mib = 1 }}
            mqtt = {{ host = "127.0.0.1", port = {self.broker.port} }}
            identity = {{ directory = "identity", ask_every_s = 2 }}
            buses = [{{ name = "street", kind = "tcp", host = "127.0.0.1", port = {self.bus.port} }}]
            locks = [{{ serial = "1f00a1", bus = "street", unit = 1, poll_interval_s = 0.1 }}]
            """
        )

    def _make_authority(self) -> None:
        out = str(self.directory)
        self.cloud_sink("ca", "init")
        self.cloud_sink("ca", "issue", "sink-1", "--role", "sink", "--out", out)
        self.cloud_sink("ca", "issue", "ca-1", "--role", "authority", "--out", out)
        self.cloud_sink(
            "ca",
            "issue",
            "broker",
            "--role",
            "broker",
            "--host",
            "127.0.0.1",
            "--out",
            str(self.broker_files),
        )
        (self.broker_files / "ca.crt").write_bytes((self.directory / "ca" / "ca.crt").read_bytes())


def _program(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", f"from {module} import main; main()", *(str(each) for each in arguments)]
