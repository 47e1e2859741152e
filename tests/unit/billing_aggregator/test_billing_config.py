"""Billing's configuration: all problems at once, each with its remedy."""

from pathlib import Path

import pytest

from billing_aggregator.config import Config, load_config
from billing_aggregator.errors import ConfigError

MINIMAL = (
    '[database]\nurl = "sqlite:///books/billing.sqlite"\n[ledger]\nurl = "sqlite:////tmp/ledger.sqlite"\n'
)


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "billing.toml"
    path.write_text(text)
    return load_config(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [problem.replace(str(tmp_path), "") for problem in caught.value.problems]


def test_relative_databases_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    config = load(tmp_path, MINIMAL + 'usage_url = "sqlite:///books/usage.sqlite"\n')
    assert config.database.url == f"sqlite:///{tmp_path}/books/billing.sqlite"
    assert config.ledger.url == "sqlite:////tmp/ledger.sqlite"
    assert config.ledger.usage_url == f"sqlite:///{tmp_path}/books/usage.sqlite"
    assert (config.runs.receipt_days, config.runs.alarm_days, config.approval.approvers) == (14, 90, ())


def test_every_problem_is_reported_at_once_with_its_remedy(tmp_path: Path) -> None:
    text = '[ledger]\nurl = "oracle://x/y"\nusage_url = "sqlite://"\n[runs]\nreceipt_days = -1\nrecipt = 2\n'
    assert problems(tmp_path, text) == [
        "/billing.toml: database is missing: add it (config/billing-aggregator.toml shows all)",
        "/billing.toml: ledger.url: 'oracle' isn't supported: expected sqlite:///… or postgresql+psycopg://…",
        "/billing.toml: ledger.usage_url: names no database: billing's books must be somewhere that lasts",
        "/billing.toml: runs.receipt_days: Input should be greater than or equal to 0",
        "/billing.toml: unknown key runs.recipt: remove it, or correct its spelling",
    ]


def test_a_missing_directory_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    assert problems(tmp_path, MINIMAL) == [
        "/billing.toml: database.url: there is no directory /books: create it"
    ]


def test_what_is_no_file_or_no_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"name the configuration with --config FILE"):
        load_config(tmp_path / "none.toml")
    assert "isn't TOML" in problems(tmp_path, "[database")[0]


def test_the_shipped_example_loads(tmp_path: Path) -> None:
    text = Path("config/billing-aggregator.toml").read_text()
    config = load(tmp_path, text.replace("/tmp/wastelock-demo", str(tmp_path)))
    assert [fee.code for fee in config.invoicing.fees] == ["rent", "billing"]
    assert config.approval.approvers == ("b.weber", "c.yilmaz")


def test_the_calculations_hash_covers_what_could_change_a_result_and_not_where_things_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "books").mkdir()
    one = load(tmp_path, MINIMAL)
    moved = load(
        tmp_path, MINIMAL.replace("/tmp/ledger", "/tmp/elsewhere") + '[approval]\napprovers = ["a"]\n'
    )
    other = load(tmp_path, MINIMAL + "[runs]\nreceipt_days = 20\n")
    assert one.calculation_hash == moved.calculation_hash != other.calculation_hash
