"""What `decommission` and `replace` change in the configuration, and that it is nothing else."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.technician.config_editing import remove_lock, rename_gateway, replace_serial
from tests.support.ports import free_port
from tests.unit.edge_agent.installation import Installation

NOW = datetime(2026, 11, 25, 19, 0, tzinfo=UTC)
_HEAD = """# The yard.
[gateway]
id = "gw-0001" # as the cloud has it
site = "site-1"
signing_key = "gateway.pem"

[spool]
path = "spool.db"

[mqtt]
host = "127.0.0.1"
username = "gw-0001"

[[buses]]
name = "street"
kind = "tcp"
host = "127.0.0.1"
"""
_FIRST = """
# Haus 1
[[locks]]
serial = "1f00a1"
bus = "street"
unit = 1
# a counter since spring
driver = "counter-1"
function = 4
[[locks.chambers]]
number = 1
address = 0
width = 32
volume_ml = 5000
"""
_SECOND = """
# Haus 2: behind the bicycles
[[locks]] # the new one
serial = "1f00a2"
bus = "street"
unit = 2
"""
_TAIL = """
# how the clock is kept
[clock]
source = "ntp"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    config = Installation(tmp_path, free_port()).config
    config.write_text(_HEAD + _FIRST + _SECOND + _TAIL)
    config.chmod(0o640)
    return config


def test_a_lock_goes_with_its_own_comments_and_nothing_else(file: Path) -> None:
    kept = remove_lock(file, "1f00a1", NOW)
    assert file.read_text() == _HEAD + _SECOND + _TAIL
    assert kept is not None and kept.read_text() == _HEAD + _FIRST + _SECOND + _TAIL
    assert (file.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o640, 0o640)


def test_the_last_in_the_list_goes_without_what_follows_it(file: Path) -> None:
    remove_lock(file, "1f00a2", NOW)
    assert file.read_text() == _HEAD + _FIRST + _TAIL


def test_a_place_gets_another_controller_and_a_gateway_another_name(file: Path) -> None:
    replace_serial(file, "01f00a2", "1f00b2", NOW)
    rename_gateway(file, "gw-0002", NOW)
    expected = (_HEAD + _FIRST + _SECOND + _TAIL).replace("1f00a2", "1f00b2").replace("gw-0001", "gw-0002")
    assert file.read_text() == expected


def test_locks_in_one_line_are_changed_as_well(file: Path) -> None:
    one = '{serial = "1f00a1", bus = "street", unit = 1}'
    file.write_text(f'locks = [{one}, {{serial = "1f00a2", bus = "street", unit = 2}}] # both\n{_HEAD}')
    remove_lock(file, "1f00a1", NOW)
    assert [lock["serial"] for lock in tomllib.loads(file.read_text())["locks"]] == ["1f00a2"]
    assert "# both" in file.read_text()


def test_what_would_no_longer_load_is_refused_and_nothing_changes(file: Path) -> None:
    before = file.read_text()
    with pytest.raises(ConfigError, match="a serial number of its own"):
        replace_serial(file, "1f00a1", "1f00a2", NOW)
    with pytest.raises(ConfigError, match="isn't there"):
        remove_lock(file, "1f00ff", NOW)
    with pytest.raises(ConfigError, match=r"gateway\.id"):
        rename_gateway(file, "no such name", NOW)
    assert file.read_text() == before
    assert [each.name for each in file.parent.glob("*agent.toml*")] == ["agent.toml"]
