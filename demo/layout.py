"""Lays out a directory in which the whole chain runs: keys, and one configuration file for each program.

DIR/simulator.toml  truth.jsonl   controllers/          the locks' controllers and what truly happened
DIR/agent.toml      gateway.pem   spool.db              the gateway
DIR/broker/         mosquitto.conf                      the broker
DIR/sink.toml       gateways.toml lock-keys.csv pseudonym.key orders.pem ledger.db
DIR/billing.toml    billing.db                          billing's books
DIR/portal.toml     accounts.db                         the web's accounts
DIR/logs/                                               what each program said
"""

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from demo.estate import Bus, Estate, Lock
from demo.keys import new_signing_key, public_key, write_private
from wastelock.page import to_base64url

HOST = "127.0.0.1"
SHIPPED_BROKER_CONFIG = Path(__file__).resolve().parents[1] / "config" / "mosquitto.conf"
# Settings of the shipped configuration that say where the broker is: the layout writes its own.
_OF_THE_PLACE = frozenset({"listener", "allow_anonymous", "persistence_location", "log_dest", "user"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ between one chain and another. `agent`, `sink`: keys that are laid over the defaults, by table.

    `broker_settings`: lines of mosquitto.conf; None takes those of config/mosquitto.conf.
    """

    poll_interval_s: float = 1.0
    agent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sink: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    broker_settings: Sequence[str] | None = None


class Layout:
    """The paths and ports of one chain in `directory`. Making it writes nothing: see `write`."""

    def __init__(self, directory: Path, estate: Estate, free_port: Callable[[], int]) -> None:
        self.directory = directory.resolve()
        self.estate = estate
        self.broker_port = free_port()
        self.tcp_ports = {bus.name: free_port() for bus in estate.buses if bus.kind == "tcp"}

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def truth(self) -> Path:
        return self.directory / "truth.jsonl"

    @property
    def controllers(self) -> Path:
        return self.directory / "controllers"

    @property
    def simulator_config(self) -> Path:
        return self.directory / "simulator.toml"

    @property
    def agent_config(self) -> Path:
        return self.directory / "agent.toml"

    @property
    def sink_config(self) -> Path:
        return self.directory / "sink.toml"

    @property
    def billing_config(self) -> Path:
        return self.directory / "billing.toml"

    @property
    def portal_config(self) -> Path:
        return self.directory / "portal.toml"

    @property
    def broker_config(self) -> Path:
        return self.directory / "broker" / "mosquitto.conf"

    @property
    def spool(self) -> Path:
        return self.directory / "spool.db"

    @property
    def signing_key(self) -> Path:
        return self.directory / "gateway.pem"

    @property
    def orders_key(self) -> Path:
        """What the cloud signs its orders with."""
        return self.directory / "orders.pem"

    @property
    def pseudonym_key(self) -> bytes:
        return bytes.fromhex((self.directory / "pseudonym.key").read_text().strip())

    def write(self, settings: Settings) -> None:
        """Write all keys and configuration files. Keys and stores that are there already are kept."""
        for directory in (self.directory, self.logs, self.controllers, self.broker_config.parent):
            directory.mkdir(parents=True, exist_ok=True)
        self._write_keys()
        self.simulator_config.write_text(to_toml(self._simulator()))
        self.write_agent_config(settings)
        self.write_sink_config(settings)
        self.write_broker_config(settings)

    def write_billing_config(self, approvers: Sequence[str]) -> None:
        """Write billing.toml: billing's books beside the ledger, and who may approve a run."""
        config = {
            "database": {"url": "sqlite:///billing.db"},
            "ledger": {"url": "sqlite:///ledger.db"},
            "approval": {"approvers": list(approvers)},
        }
        self.billing_config.write_text(to_toml(config))

    def write_portal_config(self, port: int) -> None:
        """Write portal.toml: it shows what sink and billing keep, on this machine only."""
        config = {
            "web": {"host": HOST, "port": port, "public_url": f"http://{HOST}:{port}"},
            "sink": {"config": self.sink_config.name},
            "billing": {"config": self.billing_config.name},
            "accounts": {"url": "sqlite:///accounts.db"},
        }
        self.portal_config.write_text(to_toml(config))

    def write_agent_config(self, settings: Settings, broker_port: int | None = None) -> None:
        """Write agent.toml; `broker_port` where the gateway is to meet the broker through something in between."""
        defaults: dict[str, dict[str, Any]] = {
            "gateway": {
                "id": self.estate.gateway,
                "site": self.estate.site,
                "signing_key": self.signing_key.name,
            },
            "spool": {"path": self.spool.name},
            "mqtt": {"host": HOST, "port": broker_port or self.broker_port},
            "clock": {"source": "ntp"},
            "orders": {"keys": [to_base64url(public_key(self.orders_key.read_bytes()).public_bytes_raw())]},
        }
        config: dict[str, Any] = _merged(defaults, settings.agent)
        config["buses"] = [self._agent_bus(bus) for bus in self.estate.buses]
        config["locks"] = [
            {
                "serial": lock.name,
                "bus": lock.bus,
                "unit": lock.unit,
                "driver": "wlc-1",
                "poll_interval_s": settings.poll_interval_s,
            }
            for lock in self.estate.locks
        ]
        self.agent_config.write_text(to_toml(config))

    def write_sink_config(self, settings: Settings, broker_port: int | None = None) -> None:
        """Write sink.toml; `broker_port` as for the gateway."""
        defaults: dict[str, dict[str, Any]] = {
            "ledger": {"url": f"sqlite:///{self.directory / 'ledger.db'}"},
            "mqtt": {"host": HOST, "port": broker_port or self.broker_port, "client_id": "sink-1"},
            "keys": {"gateways": "gateways.toml", "locks": "lock-keys.csv", "pseudonym_key": "pseudonym.key"},
            "orders": {"signing_key": self.orders_key.name},
        }
        self.sink_config.write_text(to_toml(_merged(defaults, settings.sink)))

    def write_gateways(self, public_keys: Mapping[str, Sequence[Ed25519PublicKey]]) -> None:
        """Write gateways.toml: whose pages the sink takes."""
        gateways = [
            {
                "id": gateway,
                "site": self.estate.site,
                "public_keys": [to_base64url(key.public_bytes_raw()) for key in keys],
            }
            for gateway, keys in public_keys.items()
        ]
        (self.directory / "gateways.toml").write_text(to_toml({"gateways": gateways}))

    def write_broker_config(self, settings: Settings) -> None:
        """Write mosquitto.conf: the limits and persistence of config/mosquitto.conf, on our port and in our place."""
        wanted = settings.broker_settings if settings.broker_settings is not None else _shipped_settings()
        place = [
            f"listener {self.broker_port} {HOST}",
            "allow_anonymous true",  # one machine, the loopback interface only
            f"persistence_location {self.broker_config.parent}/",
            "log_dest stderr",
        ]
        if os.geteuid() == 0:
            place.append("user root")  # else it would give up the right to its own directory
        self.broker_config.write_text("\n".join([*place, *wanted]) + "\n")

    def _write_keys(self) -> None:
        for key in (self.signing_key, self.orders_key):
            if not key.exists():
                write_private(key, new_signing_key())
        self.write_gateways({self.estate.gateway: [public_key(self.signing_key.read_bytes())]})
        rows = [f"{lock.name},{lock.epoch},{lock.mac_key.hex()}" for lock in self.estate.locks]
        write_private(
            self.directory / "lock-keys.csv", "\n".join(["lock,from_epoch,key", *rows, ""]).encode()
        )
        pseudonym_key = self.directory / "pseudonym.key"
        if not pseudonym_key.exists():
            write_private(pseudonym_key, secrets.token_hex(32).encode() + b"\n")

    def _simulator(self) -> dict[str, Any]:
        buses = []
        for bus in self.estate.buses:
            where: dict[str, Any] = {"host": HOST, "port": self.tcp_ports.get(bus.name)}
            if bus.kind == "rtu":
                where = {"device": str(self.device(bus)), "baudrate": bus.baudrate}
            buses.append({"name": bus.name, "kind": bus.kind, **where, "pace": bus.pace})
        locks = [
            {
                "serial": lock.name,
                "bus": lock.bus,
                "unit": lock.unit,
                "capacity": lock.capacity,
                "chambers_ml": list(lock.chambers_ml),
                "epoch": lock.epoch,
                "mac_key": lock.mac_key.hex(),
                "mac_key_id": 1,
                "dwellings": lock.dwellings,
                "pours_per_day": lock.pours_per_day,
                "households": _toml_households(lock),
            }
            for lock in self.estate.locks
        ]
        return {"buses": buses, "locks": locks}

    def _agent_bus(self, bus: Bus) -> dict[str, Any]:
        if bus.kind == "tcp":
            return {"name": bus.name, "kind": "tcp", "host": HOST, "port": self.tcp_ports[bus.name]}
        # A pseudo-terminal takes no parity; real lines are 8E1.
        return {
            "name": bus.name,
            "kind": "rtu",
            "device": str(self.device(bus)),
            "baudrate": bus.baudrate,
            "parity": "N",
        }

    def device(self, bus: Bus) -> Path:
        return self.directory / f"tty-{bus.name}"


def to_toml(tables: Mapping[str, Any]) -> str:
    """Return TOML text of tables and arrays of tables: strings, numbers, booleans, dates, lists and tables of those."""
    blocks = []
    for name, table in tables.items():
        for header, rows in [(f"[[{name}]]", table)] if isinstance(table, list) else [(f"[{name}]", [table])]:
            for row in rows:
                lines = [f"{key} = {_toml_value(value)}" for key, value in row.items() if value is not None]
                blocks.append("\n".join([header, *lines]))
    return "\n\n".join(blocks) + "\n"


def _toml_value(value: Any) -> str:
    match value:
        case dict():
            pairs = (f"{key} = {_toml_value(one)}" for key, one in value.items() if one is not None)
            return "{ " + ", ".join(pairs) + " }"
        case list():
            return "[" + ", ".join(map(_toml_value, value)) + "]"
        case date():
            return value.isoformat()
    return json.dumps(value)  # JSON's strings, numbers and booleans are TOML's, too


def _toml_households(lock: Lock) -> list[dict[str, Any]] | None:
    if lock.households is None:
        return None
    return [{**asdict(home), "transponders": list(home.transponders)} for home in lock.households]


def _merged(
    defaults: Mapping[str, Mapping[str, Any]], over: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    names = [*defaults, *(name for name in over if name not in defaults)]
    return {name: {**defaults.get(name, {}), **over.get(name, {})} for name in names}


def _shipped_settings() -> list[str]:
    lines = [line.strip() for line in SHIPPED_BROKER_CONFIG.read_text().splitlines()]
    settings = [line for line in lines if line and not line.startswith("#")]
    return [line for line in settings if line.split()[0] not in _OF_THE_PLACE]
