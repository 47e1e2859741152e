"""A gateway with two locks on one line, and what a technician's commands write there."""

import tomllib
from pathlib import Path

from typer.testing import CliRunner, Result

from edge_agent.commands import app
from tests.support.controller import Controller
from tests.unit.edge_agent.gateway import KEY, TOPICS
from tests.unit.edge_agent.installation import Installation
from wastelock.protocol import Protocol
from wastelock.signed_file import check_signature, read_file

ONE = '[{ serial = "1f00a1", bus = "street", unit = 1, poll_interval_s = 0.2 }]'
TWO = f'{ONE[:-1]}, {{ serial = "1f00a2", bus = "street", unit = 2 }}] # both'


class Site:
    """A gateway and two locks; `units` may be rearranged while they are served."""

    def __init__(self, directory: Path, broker_port: int, bus_port: int) -> None:
        self.first, self.second = Controller(), Controller(serial=0x1F00A2)
        self.units = {1: self.first, 2: self.second}
        self.installation = Installation(directory, broker_port, bus_port)
        self.config = self.installation.config
        self.config.write_text(self.config.read_text().replace(ONE, TWO))
        self.out = directory / "protocols"

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--out", str(self.out), "--config", str(self.config)])

    def protocol(self) -> Protocol:
        (file,) = self.out.glob("*.wlprotocol")
        signed = read_file(file.read_bytes(), "protocol")
        check_signature(signed, TOPICS.protocol_file, {KEY.kid: KEY.private.public_key()}.get)
        assert {each.suffix for each in self.out.iterdir()} == {".wlprotocol", ".pdf", ".txt"}
        return Protocol.model_validate_json(signed.body)

    def serials(self) -> list[str]:
        return [lock["serial"] for lock in tomllib.loads(self.config.read_text())["locks"]]
