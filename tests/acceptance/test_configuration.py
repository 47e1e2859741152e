"""A configuration that can't work ends the program with exit code 78 and names file, key and remedy."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.layout import Layout, Settings
from demo.process import program
from tests.acceptance.estates import small_estate
from tests.support.ports import free_port

EXIT_CONFIG = 78
Change = Callable[[Layout], object]


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def agent(before: str, after: str) -> Change:
    return lambda layout: edit(layout.agent_config, before, after)


def sink(before: str, after: str) -> Change:
    return lambda layout: edit(layout.sink_config, before, after)


def write(name: str, text: str) -> Change:
    return lambda layout: (layout.directory / name).write_text(text)


def remove(name: str) -> Change:
    return lambda layout: (layout.directory / name).unlink()


# program, what is wrong, what the message names: the file, the key, something of the remedy
CASES: dict[str, tuple[str, Change, tuple[str, ...]]] = {
    "no such bus": (
        "edge-agent",
        agent('bus = "courtyard"', 'bus = "cellar"'),
        ("agent.toml", "bus", "cellar"),
    ),
    "two locks with one serial": (
        "edge-agent",
        agent('serial = "2b0002"', 'serial = "2b0001"'),
        ("agent.toml", "serial", "2b0001"),
    ),
    "two locks on one address": ("edge-agent", agent("unit = 2", "unit = 1"), ("agent.toml", "unit")),
    "unknown key": ("edge-agent", agent("[spool]", "[spool]\nmaxmib = 12"), ("agent.toml", "maxmib")),
    "wrong type": ("edge-agent", agent("unit = 1", 'unit = "one"'), ("agent.toml", "unit")),
    "key file missing": ("edge-agent", remove("gateway.pem"), ("gateway.pem", "signing_key", "keygen")),
    "key file unreadable": (
        "edge-agent",
        write("gateway.pem", "-----BEGIN PRIVATE KEY-----\nno key\n-----END PRIVATE KEY-----\n"),
        ("gateway.pem", "signing_key"),
    ),
    "agent.toml is no TOML": ("edge-agent", write("agent.toml", "[gateway\n"), ("agent.toml",)),
    "ledger's url": ("cloud-sink", sink("sqlite:///", "mysql://"), ("sink.toml", "ledger.url", "postgresql")),
    "unknown key in sink.toml": (
        "cloud-sink",
        sink("[mqtt]", '[mqtt]\nhostname = "x"'),
        ("sink.toml", "hostname"),
    ),
    "pseudonym key missing": ("cloud-sink", remove("pseudonym.key"), ("pseudonym.key", "keygen")),
    "lock key broken": (
        "cloud-sink",
        write("lock-keys.csv", "lock,from_epoch,key\n2b0001,1,nonsense\n"),
        ("lock-keys.csv", "line 2", "32 hexadecimal digits"),
    ),
    "gateway's public key broken": (
        "cloud-sink",
        write("gateways.toml", '[[gateways]]\nid = "gw-0007"\nsite = "birkenweg"\npublic_keys = ["abc"]\n'),
        ("gateways.toml", "public key"),
    ),
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    laid_out = Layout(tmp_path / "chain", small_estate(), free_port)
    laid_out.write(Settings())
    return laid_out


@pytest.mark.parametrize("case", CASES)
def test_bad_configuration_ends_with_exit_code_78_and_a_remedy(layout: Layout, case: str) -> None:
    name, spoil, wanted = CASES[case]
    spoil(layout)
    config = layout.agent_config if name == "edge-agent" else layout.sink_config
    done = subprocess.run(
        [*program(name), "run", "--config", str(config)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == EXIT_CONFIG, done.stderr
    assert "Traceback" not in done.stderr
    for word in wanted:
        assert word in done.stderr


def test_all_that_is_wrong_is_told_at_once(layout: Layout) -> None:
    edit(layout.agent_config, 'bus = "courtyard"', 'bus = "cellar"')
    edit(layout.agent_config, "unit = 2", "unit = 999")
    edit(layout.agent_config, "[spool]", "[spool]\nmaxmib = 12")
    done = subprocess.run(
        [*program("edge-agent"), "check-config", "--config", str(layout.agent_config)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == EXIT_CONFIG
    for word in ("cellar", "999", "maxmib"):
        assert word in done.stdout + done.stderr
