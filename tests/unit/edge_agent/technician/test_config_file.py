"""A configuration file changed by a command: as it was but for the change, kept, and never made worse."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.technician.config_file import read_document, set_field, table_of, tables, write_document
from tests.unit.edge_agent.configurations import GOOD, write

NOW = datetime(2026, 11, 25, 19, 0, tzinfo=UTC)
COMMENTED = GOOD.replace("[[locks]]", "# A lock.\n[[locks]]").lstrip()


def test_a_change_leaves_all_else_as_it_was_and_keeps_the_file_before(tmp_path: Path) -> None:
    file = write(tmp_path, COMMENTED)
    file.chmod(0o640)
    document = read_document(file)
    set_field(tables(document, "buses")[0], "parity", "N", after="device")
    kept = write_document(file, document, NOW)
    device = 'device = "/dev/ttyUSB0"\n'
    assert file.read_text() == COMMENTED.replace(device, device + 'parity = "N"\n')
    assert kept == tmp_path / "agent.toml.before-20261125T190000"
    assert kept.read_text() == COMMENTED
    assert (file.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o640, 0o640)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.toml", kept.name]


def test_what_would_no_longer_load_is_refused_and_nothing_has_changed(tmp_path: Path) -> None:
    file = write(tmp_path, COMMENTED)
    document = read_document(file)
    tables(document, "locks").append(table_of([("serial", "1f00a1"), ("bus", "yard"), ("unit", 2)]))
    with pytest.raises(ConfigError, match="a serial number of its own"):
        write_document(file, document, NOW)
    assert file.read_text() == COMMENTED
    assert [path.name for path in tmp_path.iterdir()] == ["agent.toml"]


def test_a_file_that_isnt_whole_yet_may_be_added_to(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('# to be filled in\n[gateway]\nid = "gw-0001"\n')
    document = read_document(file)
    tables(document, "locks").append(table_of([("serial", "1f00a1"), ("bus", "yard"), ("unit", 2)]))
    write_document(file, document, NOW)
    assert file.read_text() == (
        '# to be filled in\n[gateway]\nid = "gw-0001"\n\n[[locks]]\nserial = "1f00a1"\nbus = "yard"\nunit = 2\n'
    )


@pytest.mark.parametrize("text", ["gateway = [", 'locks = [{ serial = "1f00a1" }]\n'])
def test_a_file_that_cant_be_changed_is_told_with_the_remedy(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="remedy"):
        tables(read_document(file), "locks")
