"""The example of config/masterdata-example from its files to statements, by the commands as they are installed.

It is the worked case of the design, with advances: its pours are put into a real ledger, everything else is files.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pypdf
import pytest
from typer.testing import CliRunner, Result

from billing_aggregator.cli import app
from billing_aggregator.commands import terminal
from cloud_sink.following import catch_up
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from tests.support.fake_gateway import FakeLock
from tests.unit.billing_aggregator.pour_estates import PourEstate, pseudonym
from tests.unit.billing_aggregator.run_books import APPROVER, CLERK, RunClock, throw

EXAMPLE = Path("config/masterdata-example")
RUN = "musterhof/2025-01-01"
# Of the example's transponders: who holds them in this ledger, whose pseudonyms are made with another key.
HELD = {
    "8a69a1f65f68f2eeccfc197601ebdd6a": 1,
    "0f85b0d68712d313fa19f93a85661380": 2,
    "6f70406deaf85d865b6cb7b85b99d45f": 3,
    "65278162a0acabd6f0cd4977fbdf2d11": 4,
}


@pytest.fixture
def ledger_url(tmp_path: Path, sqlite_url: str) -> Iterator[str]:
    """A ledger with the worked case's pours, and usage per day."""
    estate = PourEstate(tmp_path, sqlite_url, FakeLock(0x1F00B1, epoch=1), registers={1: 1842, 2: 317})
    throw(estate, 2, 7, 2, "2025-01-10 08:00")
    throw(estate, 1, 69, 1, "2025-05-10 08:00")
    throw(estate, 3, 30, 2, "2025-06-10 09:00")
    throw(estate, 4, 112, 0, "2025-07-10 10:00")
    estate.commit()
    projector = Projector(sqlite_url, default_url(sqlite_url), "Europe/Berlin", 1000)
    catch_up(projector, Event(), lambda position, end: None)
    projector.close()
    yield sqlite_url
    estate.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The example's files, with the pseudonyms that this ledger has for the transponders."""
    directory = tmp_path / "masterdata"
    directory.mkdir()
    for path in EXAMPLE.iterdir():
        text = path.read_bytes().decode()
        for example, uid in HELD.items():
            text = text.replace(example, pseudonym(uid))
        (directory / path.name).write_text(text)
    return directory


def write_second_property(files: Path) -> Path:
    """Write the same property once more, with another name, lock and transponders; nobody ever threw there."""
    directory = files.with_name("second")
    directory.mkdir()
    for path in files.iterdir():
        text = path.read_text().replace("musterhof", "zweithof").replace("1f00b1", "1f00b2")
        if path.name == "credential.csv":
            text = re.sub("[0-9a-f]{32}", lambda match: match[0][::-1], text)
        (directory / path.name).write_text(text)
    return directory


@pytest.fixture
def config(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(terminal, "now", RunClock())
    path = tmp_path / "billing.toml"
    path.write_text(
        f'[database]\nurl = "sqlite:///billing.sqlite"\n[ledger]\nurl = "{ledger_url}"\n'
        f'[approval]\napprovers = ["{APPROVER}"]\n'
    )
    return path


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)], catch_exceptions=False)


def call_json(config: Path, *arguments: str) -> Any:
    result = call(config, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_example_comes_out_to_the_cent_from_files_to_statements(
    config: Path, files: Path, tmp_path: Path
) -> None:
    assert "would change" in call(config, "import", str(files), "--dry-run").stdout
    taken = call_json(config, "import", str(files), "--actor", CLERK)
    assert taken["import_no"] == 1
    assert call_json(config, "import", str(files))["import_no"] is None
    assert call_json(config, "run", "new", RUN, "--actor", CLERK)["obstacles"] == []
    call_json(config, "run", "submit", RUN, "--actor", CLERK)
    call_json(config, "run", "approve", RUN, "--actor", APPROVER)
    call_json(config, "run", "finalize", RUN, "--actor", APPROVER)
    shown = call_json(config, "run", "show", RUN)
    assert {row["row"]: (row["base_cents"], row["usage_cents"]) for row in shown["rows"]} == {
        "WE1/T1": (8000, 21476),
        "WE2/T2": (2029, 2326),
        "WE2/T3": (4144, 9459),
        "WE3/T4": (9654, 34735),
        "WE4/T5": (3061, 2005),
        "WE4/owner": (3112, 0),
    }
    assert {row["row"]: row["balance_cents"] for row in shown["rows"]}["WE1/T1"] == 29_476 - 30_000
    out = tmp_path / "statements"
    written = call_json(config, "statement", RUN, "--out", str(out))
    assert len(written) == 6
    text = "".join(page.extract_text() for page in pypdf.PdfReader(written[0]["path"]).pages)
    assert "294,76" in text and "Erika Beispiel" in text
    assert call(config, "statement", RUN, "--out", str(out), "--row", "WE9/T9").exit_code == 1
    call_json(config, "overview", RUN, "--out", str(out))
    exported = call_json(config, "run", "export", RUN, "--out", str(tmp_path / "revision"))
    content = Path(exported[0]).read_bytes()
    assert json.loads(content) == shown["document"]
    replayed = call_json(config, "run", "replay", RUN)
    assert replayed["identical"] is True


def test_what_is_exported_can_be_imported_into_empty_books(config: Path, files: Path, tmp_path: Path) -> None:
    call_json(config, "import", str(files))
    for form in ((), ("--excel",)):
        out = tmp_path / f"out{len(form)}"
        assert call_json(config, "export", "--out", str(out), *form)
        other = config.with_name("other.toml")
        other.write_text(config.read_text().replace("billing.sqlite", f"other{len(form)}.sqlite"))
        assert call_json(other, "import", str(out))["import_no"] == 1
        hashes = {
            call_json(each, "run", "new", RUN)["document"]["pins"]["masterdata_hash"]
            for each in (config, other)
        }
        assert len(hashes) == 1


def test_bad_files_are_rejected_whole_with_65_and_their_places(config: Path, files: Path) -> None:
    area = files / "area.csv"
    area.write_text(area.read_text().replace("62,40", "62.400,5x"))
    result = call(config, "import", str(files))
    assert result.exit_code == 65
    assert "area.csv:2:m2:" in result.stderr.replace(str(files) + "/", "")
    assert call_json(config, "history", "musterhof") == []


def test_templates_need_no_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["template", "--out", str(tmp_path), "--table", "area"])
    assert result.exit_code == 0
    assert (tmp_path / "area.csv").read_text().startswith("property")
    assert CliRunner().invoke(app, ["template", "--out", str(tmp_path), "--table", "x"]).exit_code == 1


def test_provisional_statements_are_marked_as_such(config: Path, files: Path, tmp_path: Path) -> None:
    call_json(config, "import", str(files))
    out = tmp_path / "provisional"
    result = call(config, "provisional", "--property", "musterhof", "--on", "2025-06-30", "--out", str(out))
    assert result.exit_code == 0, result.stderr
    path = next(out.glob("statement-WE1-T1-*.pdf"))
    assert "VORLÄUFIG" in pypdf.PdfReader(path).pages[0].extract_text()


def test_program_itself_ends_with_the_codes_of_its_messages(config: Path, files: Path) -> None:
    """In processes of its own, as a shell calls it: two at once calculate what is due."""
    program = [sys.executable, "-c", "from billing_aggregator.cli import main; main()"]

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *arguments, "--config", str(config)], capture_output=True, text=True, timeout=120
        )

    assert start("import", str(files)).returncode == 0
    assert start("import", str(write_second_property(files))).returncode == 0
    auto = start("run", "auto", "--processes", "2", "--json")
    assert (auto.returncode, auto.stderr) == (0, "")
    assert [json.loads(line) for line in auto.stdout.splitlines()] == [
        {"run": f"{name}/2025-01-01/1", "state": "in_review", "obstacles": []}
        for name in ("musterhof", "zweithof")
    ]
    assert start("run", "finalize", RUN).returncode == 1
    assert start("run", "show", "nobody/2025-01-01").returncode == 1
    config.write_text(config.read_text().replace("[ledger]", "[ledgers]"))
    refused = start("run", "list")
    assert refused.returncode == 78
    assert "unknown key ledgers" in refused.stderr and "Traceback" not in refused.stderr
