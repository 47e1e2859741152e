"""One gateway's installation: configuration, key, spool; the agent on it is a process, as in the field."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.ports import free_port
from tests.unit.edge_agent.gateway import KEY, TOPICS, make_spool, opened, visit


class Installation:
    """A directory with configuration, key and spool; nobody answers on its only bus, unless `bus_port` has a peer.

    `more`: further lines of the configuration.
    """

    def __init__(
        self, directory: Path, broker_port: int, bus_port: int | None = None, more: str = ""
    ) -> None:
        self.config = directory / "agent.toml"
        self.spool = directory / "spool.db"
        self.log = directory / "agent.log"
        pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key = directory / "gateway.pem"
        key.write_bytes(pem)
        key.chmod(0o600)
        self.config.write_text(
            f"""
            gateway = {{ id = "{TOPICS.gateway}", site = "{TOPICS.site}", signing_key = "gateway.pem" }}
            spool = {{ path = "spool.db", reserve_mib = 1 }}
            mqtt = {{ host = "127.0.0.1", port = {broker_port} }}
            reporting = {{ telemetry_interval_s = 1 }}
            buses = [{{ name = "street", kind = "tcp", host = "127.0.0.1", port = {bus_port or free_port()} }}]
            locks = [{{ serial = "1f00a1", bus = "street", unit = 1, poll_interval_s = 0.2 }}]
            {more}
            """
        )

    def seal(self, first: int, last: int) -> None:
        with opened(make_spool(self.spool)) as spool:
            for seq in range(first, last + 1):
                spool.seal(visit(seq=seq))

    def start(self, *options: str, will_delay_s: int = 30, **environment: str) -> subprocess.Popen[bytes]:
        """Start the agent; nobody wants to wait 30 s for a will, so a test may have another delay."""
        code = (
            f"import sys; from edge_agent import cli, uplink; uplink._WILL_DELAY_S = {will_delay_s}; "
            f"sys.argv = {['edge-agent', 'run', '--config', str(self.config), *options]}; cli.main()"
        )
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code],
                stderr=log,
                env=os.environ | environment,
            )

    @contextmanager
    def running(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """The agent's process; at the end it is asked to stop and has to end in order."""
        process = self.start(will_delay_s=30, **environment)
        try:
            yield process
            assert process.poll() is None, self.log.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, self.log.read_text()
        finally:
            process.kill()
            process.wait()

    def status(self) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent.cli", "status", "--config", str(self.config), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told
