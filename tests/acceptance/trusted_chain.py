"""The chain as an installation has it: an authority of its own, the shipped broker over TLS, an enrolled gateway.

What layout.py lays out, and beside it:

DIR/ca/        the authority              DIR/enrolled.toml       whose pages the sink takes
DIR/identity/  the gateway's identity     DIR/sink-1.*, ca-1.*    certificates of sink and `cloud-sink ca run`
DIR/broker/    broker.*, ca.crl, wastelock-acl.conf               what the broker reads
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from cloud_sink.cli import app as cloud_sink
from demo.chain import Chain
from demo.layout import HOST, Layout, Settings
from demo.process import Child, program
from edge_agent.commands import app as edge_agent
from tests.support.shipped_broker import with_field_settings

Tables = Mapping[str, Mapping[str, Any]]


class TrustedLayout(Layout):
    """A directory for a chain whose programs know each other by certificates. `write` makes what isn't there yet."""

    # How long a gateway's certificate lasts; what is asked of the authority comes at two thirds of that by itself.
    certificate_days: float = 90.0

    @property
    def identity(self) -> Path:
        return self.directory / "identity"

    def cloud_sink(self, *arguments: str) -> str:
        """Run a command in the cloud and return what it says."""
        done = CliRunner().invoke(cloud_sink, [*arguments, "--config", str(self.sink_config)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def edge_agent(self, *arguments: str) -> str:
        """Run a command at the gateway and return what it says."""
        done = CliRunner().invoke(edge_agent, [*arguments, "--config", str(self.agent_config)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def renewal_is_done(self) -> bool:
        """True if the gateway isn't waiting for another certificate, nor has one that it doesn't use yet."""
        return not (self.identity / "pending").exists()

    def write(self, settings: Settings) -> None:
        super().write(settings)
        if not (self.directory / "ca" / "ca.crt").exists():
            self._make_authority()
            self._enrol()

    def write_agent_config(self, settings: Settings, broker_port: int | None = None) -> None:
        trusted: Tables = {
            "gateway": {"signing_key": None},
            "identity": {"directory": self.identity.name, "ask_every_s": 2},
            "orders": {"keys": []},  # the authority says whose orders count
        }
        super().write_agent_config(replace(settings, agent=_joined(trusted, settings.agent)), broker_port)

    def write_sink_config(self, settings: Settings, broker_port: int | None = None) -> None:
        trusted: Tables = {
            "mqtt": {"ca_file": "ca/ca.crt", "cert_file": "sink-1.crt", "key_file": "sink-1.key"},
            "keys": {"enrolled": "enrolled.toml"},
            "authority": {
                "crl_file": "broker/ca.crl",
                "acl_file": "broker/wastelock-acl.conf",
                "certificate_days": self.certificate_days,
                "key_grace_s": 1,
                "cert_file": "ca-1.crt",
                "key_file": "ca-1.key",
            },
            "feed": {"publish": False},
        }
        super().write_sink_config(replace(settings, sink=_joined(trusted, settings.sink)), broker_port)

    def write_broker_config(self, settings: Settings) -> None:
        """Write mosquitto.conf: the shipped file, edited as its FIELD notes tell."""
        directory = self.broker_config.parent
        lines = with_field_settings(directory).replace("listener 8883", f"listener {self.broker_port} {HOST}")
        place = [f"crlfile {directory}/ca.crl", f"persistence_location {directory}/"]
        if os.geteuid() == 0:
            place.append("user root")  # else it would give up the right to its own directory
        self.broker_config.write_text("\n".join([lines, *place, ""]))

    def _write_keys(self) -> None:
        super()._write_keys()
        self.write_gateways({})  # the authority says whose pages are taken, nobody else

    def _make_authority(self) -> None:
        out, broker = str(self.directory), str(self.broker_config.parent)
        self.cloud_sink("ca", "init")
        self.cloud_sink("orders-key", "add", self.cloud_sink("orders-key", "public").split()[0])
        self.cloud_sink("ca", "issue", "sink-1", "--role", "sink", "--out", out)
        self.cloud_sink("ca", "issue", "ca-1", "--role", "authority", "--out", out)
        self.cloud_sink("ca", "issue", "broker", "--role", "broker", "--host", HOST, "--out", broker)
        authority = (self.directory / "ca" / "ca.crt").read_bytes()
        (self.broker_config.parent / "ca.crt").write_bytes(authority)

    def _enrol(self) -> None:
        """By file, as without a network; the broker isn't there yet, and reads its rules when it starts."""
        request, answer = str(self.directory / "request"), str(self.directory / "answer")
        site, gateway = self.estate.site, self.estate.gateway
        token = self.cloud_sink("enroll", "token", gateway, "--site", site).splitlines()[0]
        self.edge_agent("enroll", "--token", token, "--request", request)
        self.cloud_sink("enroll", "sign", request, "--answer", answer)
        self.edge_agent("enroll", "--accept", answer)


class TrustedChain(Chain):
    """A chain in a TrustedLayout; one program more, which renews certificates, and one that makes views of the ledger.

    They, and who was left out, are the test's to start. `with_views` False: nobody makes views.
    """

    layout: TrustedLayout

    def __init__(
        self, layout: TrustedLayout, settings: Settings, with_views: bool = False, **options: Any
    ) -> None:
        super().__init__(layout, settings, **options)
        self._with_views = with_views
        config = ["--config", str(layout.sink_config)]
        self.authority = Child("authority", [*program("cloud-sink"), "ca", "run", *config], layout.logs)
        self.projector = Child("projector", [*program("cloud-sink"), "project", *config], layout.logs)

    @property
    def children(self) -> tuple[Child, ...]:
        views = (self.projector,) if self._with_views else ()
        return (self.agent, self.sink, *views, self.authority, self.broker, self.simulator)


def _joined(ours: Tables, given: Tables) -> Tables:
    return {name: {**ours.get(name, {}), **given.get(name, {})} for name in {**ours, **given}}
