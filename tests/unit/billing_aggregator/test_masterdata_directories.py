"""What lies in a directory of master data, and isn't what a clerk thinks it is: nothing is left out in silence."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_aggregator.database import Database, migrate
from billing_aggregator.errors import InputRejected
from billing_aggregator.masterdata.importing import import_files
from billing_aggregator.masterdata.store import MasterData

EXAMPLE = Path("config/masterdata-example")


@pytest.fixture
def masterdata(tmp_path: Path) -> Iterator[MasterData]:
    database = Database(f"sqlite:///{tmp_path / 'billing.sqlite'}")
    migrate(database)
    yield MasterData(database)
    database.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "masterdata"))


def problems_of(masterdata: MasterData, path: Path) -> list[str]:
    with pytest.raises(InputRejected) as rejected:
        import_files(masterdata, [path], "anna")
    return [str(problem) for problem in rejected.value.problems]


@pytest.mark.parametrize("name", ["cost_item.xls", "estate.ods", "estate.xlsm", "AREA.TSV"])
def test_a_sheet_of_another_kind_beside_the_others_stops_the_import(
    masterdata: MasterData, directory: Path, name: str
) -> None:
    (directory / name).write_bytes(b"\xd0\xcf\x11\xe0")
    (problem,) = problems_of(masterdata, directory)
    assert problem.startswith(name)
    assert ".csv or .xlsx: save it as one of these" in problem


def test_what_a_spreadsheet_program_lays_beside_an_open_file_is_passed_over(
    masterdata: MasterData, directory: Path
) -> None:
    for name in ("~$estate.xlsx", ".~lock.area.csv#", "._area.csv", "README.txt"):
        (directory / name).write_bytes(b"\x00")
    assert import_files(masterdata, [directory], "anna").import_no == 1


def test_what_is_no_file_is_neither_waited_for_nor_read_without_an_end(
    masterdata: MasterData, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "area.csv")
    (tmp_path / "persons.csv").symlink_to("/dev/zero")
    for name in ("area.csv", "persons.csv"):
        (problem,) = problems_of(masterdata, tmp_path / name)
        assert "it is no file" in problem
