"""The portal's commands: passwords, tokens and links are printed once; exit codes say what to do."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from portal.accounts.book import Accounts
from portal.cli import app
from portal.config import load_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "cloud-sink.toml").write_text('[ledger]\nurl = "sqlite:///ledger.sqlite"\n')
    path = tmp_path / "portal.toml"
    path.write_text('[web]\npublic_url = "https://portal.example.org"\ntrusted_proxies = ["127.0.0.1"]\n')
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def test_a_users_one_time_password_lets_him_in(config: Path) -> None:
    made = run(config, "user", "add", "ada", "--role", "operator")
    assert made.exit_code == 0
    password = made.stdout.strip()
    assert re.fullmatch(r"[a-z0-9]{5}(-[a-z0-9]{5}){3}", password)
    assert password not in run(config, "user", "list").output
    accounts = Accounts(load_config(config).accounts)
    assert accounts.users.check("ada", password) is not None
    accounts.close()


def test_users_are_listed_changed_and_locked_out(config: Path) -> None:
    run(config, "user", "add", "boss", "--role", "operator")
    run(config, "user", "add", "ada", "--role", "reader", "--display-name", "Ada L.")
    assert run(config, "user", "role", "ada", "technician").exit_code == 0
    assert run(config, "user", "disable", "ada").exit_code == 0
    listed = [json.loads(line) for line in run(config, "user", "list", "--json").stdout.splitlines()]
    assert [(each["name"], each["role"], each["disabled"]) for each in listed] == [
        ("ada", "technician", True), ("boss", "operator", False),
    ]  # fmt: skip
    assert "Ada L." in run(config, "user", "list").stdout
    assert run(config, "user", "disable", "ada", "--undo").exit_code == 0
    first, second = (run(config, "user", "reset", "ada", "--json") for _ in range(2))
    assert json.loads(first.stdout)["password"] != json.loads(second.stdout)["password"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("user", "reset", "nobody"), "there is no user nobody"),
        (("user", "add", "Ada!", "--role", "reader"), "can’t be a user name"),
        (("token", "revoke", "none"), "there is no token none"),
        (("token", "add", "t", "--role", "reader", "--only", "lock:write"), "can’t have more permissions"),
        (("link", "revoke", "17"), "there is no link 17"),
    ],
)
def test_what_is_not_possible_is_said_and_exits_with_1(
    config: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run(config, *arguments)
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_token_is_shown_once_and_can_be_revoked(config: Path) -> None:
    token = run(config, "token", "add", "backend", "--role", "operator", "--only", "feed:read").stdout.strip()
    assert re.fullmatch(r"wlt_[A-Za-z0-9_-]{43}", token)
    listed = run(config, "token", "list", "--json").stdout
    assert token not in listed
    assert json.loads(listed)["permissions"] == ["feed:read"]
    assert run(config, "token", "revoke", "backend").exit_code == 0
    assert json.loads(run(config, "token", "list", "--json").stdout)["revoked_at"] is not None


def test_a_link_is_shown_once_with_the_address_that_browsers_use(config: Path) -> None:
    whose = ("--property", "p1", "--dwelling", "d1", "--party", "a1", "--since", "2026-01-01")
    link = run(config, "link", "add", *whose).stdout.strip()
    assert re.fullmatch(r"https://portal\.example\.org/h/[A-Za-z0-9_-]{43}", link)
    listed = run(config, "link", "list").stdout
    assert "p1" in listed
    assert link.rpartition("/")[2] not in listed
    assert run(config, "link", "revoke", "1").exit_code == 0
    assert run(config, "link", "add", *whose[:-1], "yesterday").exit_code == 2


def test_configuration_that_cannot_work_exits_with_78(config: Path, tmp_path: Path) -> None:
    assert run(config, "check-config").exit_code == 0
    (tmp_path / "cloud-sink.toml").write_text("[ledger]\n")
    checked = run(config, "check-config")
    assert checked.exit_code == 78
    assert "ledger.url is missing" in checked.stderr
    assert run(tmp_path / "none.toml", "serve").exit_code == 78


def test_nothing_is_there_says_what_to_do(config: Path) -> None:
    assert "portal user add" in run(config, "user", "list").stdout
    assert "portal token add" in run(config, "token", "list").stdout
    assert "portal link add" in run(config, "link", "list").stdout


def test_the_description_of_the_api_is_printed_as_it_is_kept() -> None:
    printed = CliRunner().invoke(app, ["openapi"]).stdout
    assert printed == Path("docs/contract/openapi.json").read_text(encoding="utf-8")
