"""`cloud-sink lock …`, `site …`: what they print, and their exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from tests.house.sources import ROOT
from tests.support.ledger import Ledger
from tests.unit.cloud_sink.test_operating import events

EXAMPLE = str(ROOT / "config" / "locks.csv")


@pytest.fixture
def config(ledger: Ledger, tmp_path: Path) -> str:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger.url}"\n')
    return str(path)


def do(config: str, *arguments: str, expect: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", config])
    assert result.exit_code == expect, result.output
    return result.stdout if expect == 0 else result.stderr


def test_locks_are_imported_listed_described_and_moved(config: str, ledger: Ledger) -> None:
    assert do(config, "lock", "list") == "no lock is known\n"
    assert do(config, "lock", "import", EXAMPLE, "--dry-run").endswith(
        "would be: 5 added, 0 changed, 0 unchanged\n"
    )
    assert events(ledger) == []
    effects = json.loads(do(config, "lock", "import", EXAMPLE, "--json", "--actor", "anna"))
    assert effects == {f"1f00a{n}": "added" for n in range(1, 6)}
    assert do(config, "lock", "import", EXAMPLE) == "0 added, 0 changed, 5 unchanged\n"
    assert (
        do(config, "lock", "describe", "1f00a1", "--label", "Tor", "--container-l", "660")
        == "1f00a1: changed\n"
    )
    assert do(config, "lock", "describe", "1f00a1", "--chamber", "1:paper:5000") == "1f00a1: changed\n"
    do(config, "lock", "move", "1f00a1", "commissioning", "--reason", "mounted")
    do(config, "lock", "desire", "1f00a1", "access_list_version", "12", "--within-h", "48")
    do(config, "lock", "desire", "1f00a1", "access_list_version", "none")
    do(config, "lock", "note", "1f00a1", "smells")
    assert do(config, "site", "describe", "lindenhof", "--city", "Leipzig") == "lindenhof: added\n"
    [first, *_] = do(config, "lock", "list").splitlines()
    assert first.split() == (
        ["1f00a1", "commissioning", "lindenhof", "row", "1,", "column", "1", "Tor", "(never", "heard", "of)"]
    )
    [found, *_] = json.loads(do(config, "lock", "list", "--json"))
    assert found["description"]["container_ml"] == 660_000
    assert found["description"]["chambers"] == {"1": {"fraction": "paper", "volume_ml": 5000}}
    assert {event.actor for event in events(ledger)[:5]} == {"anna"}
    assert len(events(ledger)) == 12


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("lock", "move", "1f00a1", "in_service", "--reason", "x"), 1, "no lock 1f00a1 is known"),
        (("lock", "note", "1f00a1", "x"), 1, "cloud-sink lock describe 1f00a1"),
        (("lock", "describe", "xyz", "--site", "a"), 65, "hexadecimal"),
        (("lock", "describe", "1f00a1"), 65, "site is missing"),
        (("lock", "describe", "1f00a1", "--chamber", "1:residual"), 2, "1:residual:5000"),
        (("lock", "describe", "1f00a1", "--site", "a", "--actor", " "), 2, "must name somebody"),
        (("lock", "import", "none.csv"), 65, "can't be read"),
        (("site", "describe", "a/b"), 65, "A-Z a-z"),
    ],
)
def test_what_is_not_possible_says_what_is(
    config: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    assert told in do(config, *arguments, expect=code)


def test_a_bad_list_changes_nothing_and_ends_with_exit_code_65(
    config: str, ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("lock,site\n1f00a1,estate-1\nx,y\nz,a b\n")
    told = do(config, "lock", "import", str(path), expect=65).splitlines()
    assert len(told) == 3
    assert told[0].startswith(f"cloud-sink: {path}:3:1: lock: ")
    assert events(ledger) == []
