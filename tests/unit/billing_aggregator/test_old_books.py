"""Books of each released schema are opened by this release, and what was final in them is what it was."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

import billing_aggregator.migrations
from billing_aggregator.config import Config
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.document import balances_of, decode, digest, encode
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.run_books import WORKED_CENTS

OLD = sorted((Path(__file__).parents[2] / "databases").glob("billing-*.sqlite"))
NOW = datetime(2026, 5, 1, tzinfo=UTC)
FIRST = date(2025, 1, 1)
# As it was when these books were closed: the hash of the revision that the parties have in their hands.
SENT_SHA256 = "d7dc6f1caa519bd0928586ca296b91a77767cf28e32329bb70dfd6c539e7f4b8"


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    shutil.copy(request.param, tmp_path / "billing.sqlite")
    urls = {name: {"url": f"sqlite:///{tmp_path / name}.sqlite"} for name in ("billing", "ledger")}
    return Config.model_validate({"database": urls["billing"], "ledger": urls["ledger"]})


def sent(books: Books) -> bytes:
    (run,) = books.store.revisions("P1", FIRST)
    assert run.state is RunState.DELIVERED
    return books.store.document(run)


def test_there_are_old_books_for_the_released_schema() -> None:
    scripts = ScriptDirectory(str(Path(billing_aggregator.migrations.__file__).parent))
    assert OLD[-1].stem == f"billing-{scripts.get_current_head()}"


def test_a_revision_that_was_sent_is_read_byte_by_byte_as_it_was(config: Config) -> None:
    with open_books(config, lambda: NOW) as books:
        content = sent(books)
    assert digest(content) == SENT_SHA256
    assert encode(decode(content)) == content
    document = decode(content)
    charged = {row: each.charged_cents for row, each in balances_of(document).items()}
    assert charged == WORKED_CENTS


def test_master_data_are_known_as_they_were_when_the_run_was_reckoned(config: Config) -> None:
    with open_books(config, lambda: NOW) as books:
        pins = decode(sent(books)).pins
        then = books.masterdata.snapshot("P1", pins.known_at)
        assert then.hash == pins.masterdata_hash
        taken_back = [entry for entry in books.masterdata.history("P1", "advance") if entry.reverses]
        assert [entry.reason for entry in taken_back] == ["typing error"]
