"""The package in two releases, built once; a machine that the first one is installed on, as a technician leaves it."""

import fcntl
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.debian_machine import DebianMachine
from tests.unit.edge_agent.gateway import KEY, TOPICS, make_spool, opened, visit
from tools.gateway_package import build

QUICKLY = ("-Zgzip", "-z1")
OLD, NEW = "1.0.0", "1.1.0"
CONFIG = f"""
gateway = {{ id = "{TOPICS.gateway}", site = "{TOPICS.site}", signing_key = "keys/gateway.pem" }}
spool = {{ path = "/var/lib/wastelock/spool.db" }}
mqtt = {{ host = "127.0.0.1", port = 1883 }}
buses = [{{ name = "street", kind = "tcp", host = "127.0.0.1" }}]
locks = [{{ serial = "1f00a1", bus = "street", unit = 1 }}]
"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The package by version; test processes that work side by side build it once."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with (shared / "gateway-packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = {version: sorted(shared.glob(f"*_{version}_*.deb")) for version in (OLD, NEW)}
        return {
            version: there[0] if there else build(shared, version, QUICKLY)
            for version, there in built.items()
        }


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, packages: dict[str, Path]) -> DebianMachine:
    """A machine with the old release; only to begin others as."""
    machine = DebianMachine(tmp_path_factory.mktemp("installed"))
    done = machine.dpkg("--install", str(packages[OLD]))
    assert done.returncode == 0, done.stdout + done.stderr
    return machine


@pytest.fixture
def fresh(installed: DebianMachine, tmp_path: Path) -> DebianMachine:
    """A machine with the old release, not set up yet."""
    return DebianMachine(tmp_path, installed)


@pytest.fixture
def gateway(fresh: DebianMachine) -> DebianMachine:
    """The machine as a gateway in the field: configuration, key, and a spool with 30 pages that nobody has received."""
    fresh.put("/etc/wastelock/edge-agent.toml", CONFIG.encode())
    pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh.put("/etc/wastelock/keys/gateway.pem", pem, 0o600)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "spool.db"
        with opened(make_spool(path)) as spool:
            for seq in range(1, 31):
                spool.seal(visit(seq=seq))
        fresh.put("/var/lib/wastelock/spool.db", path.read_bytes(), 0o640)
    fresh.do("chown", "wastelock:wastelock", "/var/lib/wastelock/spool.db")
    return fresh
