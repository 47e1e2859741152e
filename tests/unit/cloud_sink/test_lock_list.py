"""`cloud-sink lock import`: a list of locks is taken whole, or all its problems are told with their places."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.errors import InputRejected
from cloud_sink.lock_list import read_lock_list
from cloud_sink.operator_events import ChamberDescription, LockDescription
from tests.house.sources import ROOT

HEAD = "lock,site,row,column,container_l,chamber_1,chamber_1_ml,label\n"


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> dict[str, LockDescription]:
    path = tmp_path / "locks.csv"
    path.write_bytes(text.encode(encoding))
    return read_lock_list(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputRejected) as caught:
        read(tmp_path, text)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_the_example_describes_the_example_estate() -> None:
    found = read_lock_list(ROOT / "config" / "locks.csv")
    assert list(found) == [f"1f00a{n}" for n in range(1, 6)]
    assert {each.site for each in found.values()} == {"lindenhof"}
    assert all(len(each.chambers) == 2 and each.row and each.container_ml for each in found.values())


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_cells_become_a_description(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = f"# comment; with, both\n{HEAD}\n1F00A1 ,estate-1, 1,2,1100,residual,5000,Müll\n".replace(
        ",", delimiter
    )
    assert read(tmp_path, text, encoding) == {
        "1f00a1": LockDescription(
            label="Müll", site="estate-1", row=1, column=2, container_ml=1_100_000,
            chambers={1: ChamberDescription(fraction="residual", volume_ml=5000)},
        )
    }  # fmt: skip


def test_all_problems_are_told_at_once_with_line_and_column(tmp_path: Path) -> None:
    rows = [
        "xyz,estate-1,,,,,,",
        "1f00a1,a b,1,,,,,",
        "1f00a2,estate-1,none,0,-5,residual,,x",
        "1f00a3,estate-1,1,1,,,5000,x",
        "1f00a4,estate-1,1,1,,,,x",
        "1f00a4,estate-1,1,1,,,,x",
        "1f00a5,estate-1,1,1,,,,x",
        "# a comment counts as a line",
        "1f00a6,estate-1,1,1,,,,x,too many",
    ]
    assert problems(tmp_path, HEAD + "\n".join(rows)) == [
        "locks.csv:2:1: lock: lock 'xyz': expected its serial number in lower-case hexadecimal: 1f00a1",
        "locks.csv:3:2: site: site 'a b': expected 1 to 64 characters out of A-Z a-z 0-9 . _ -",
        "locks.csv:4:4: column: '0': expected a whole number above 0",
        "locks.csv:4:5: container_l: '-5': expected a whole number above 0",
        "locks.csv:4:3: row: 'none': expected a whole number above 0",
        "locks.csv:4:6: chamber_1: its volume is missing: fill in chamber_1_ml",
        "locks.csv:5:7: chamber_1_ml: its fraction is missing: fill in chamber_1",
        "locks.csv:7:1: lock: 1f00a4 stands in line 6 already: remove one",
        "locks.csv:8:3: row: lock 1f00a4 has this place already: row 1, column 1",
        "locks.csv:10: has 9 cells, the head only 8 columns",
    ]


def test_a_wrong_head_is_told_before_anything_else(tmp_path: Path) -> None:
    [unknown, doubled, missing] = problems(tmp_path, "lock,colour,lock\n1f00a1,red,x\n")
    assert unknown.startswith("locks.csv:1:2: 'colour' is no column: expected lock, site,")
    assert doubled == "locks.csv:1:3: column lock stands there twice: remove one"
    assert missing == "locks.csv:1: column site is missing: add it"
    assert "is empty" in problems(tmp_path, "# nothing\n\n")[0]


def test_a_cell_without_end_is_told(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, HEAD + '1f00a1,estate-1,,,,,,"' + "x" * 200_000)
    assert problem.startswith("locks.csv:2: isn't CSV: ")


def test_what_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="isn't UTF-8: save it as CSV in UTF-8"):
        read(tmp_path, HEAD + "1f00a1,estate-1,,,,,,Müll\n", "latin-1")
    with pytest.raises(InputRejected, match="can't be read: No such file"):
        read_lock_list(tmp_path / "nothing.csv")


@given(text=st.text(alphabet=st.sampled_from('lock,site;row1"\n\r#\t\0 a'), max_size=80))
def test_whatever_stands_in_a_file_is_taken_or_refused(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text)
    try:
        read_lock_list(path)
    except InputRejected as error:
        assert all(problem.startswith(f"{path}") for problem in error.problems)
