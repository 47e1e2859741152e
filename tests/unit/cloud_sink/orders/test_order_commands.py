"""`cloud-sink command …`, `access-list …`, `transponder …`, `orders-key …`: what they print, and their exit codes."""

import json
import logging
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.ledger import tables as t
from cloud_sink.orders.signing_key import load_signing_key, public_text
from tests.support.fake_gateway import FakeLock
from tests.support.twins import TwinRig

LIST = "# who may\nuid;service;blocked\nE0040150 00000001;;\n0A:1B:2C:3D;yes;no\n\ne004-0150-0000-0003;;x\n"
NUMBERS = ("e004015000000001", "a1b2c3d", "e004015000000003", "E0040150", "0A:1B")


@pytest.fixture
def ledger_url(sqlite_url: str) -> str:
    """What the door does on each database is shown there; here it is what people see of it."""
    return sqlite_url


@pytest.fixture
def config(rig: TwinRig, tmp_path: Path) -> str:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{rig.ledger.url}"\n[orders]\nsigning_key = "orders.pem"\n')
    return str(path)


def do(config: str, *arguments: str, expect: int = 0, given: str | None = None) -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", config], input=given)
    assert result.exit_code == expect, result.output
    return result.stdout if expect == 0 else result.stderr


def test_a_command_is_sent_listed_shown_and_withdrawn(config: str, lock: FakeLock) -> None:
    assert do(config, "command", "list") == "no command\n"
    sent = json.loads(do(config, "command", "send", lock.name, "reboot", "--ttl", "90s", "--reason", "hangs",
                         "--actor", "anna", "--json"))  # fmt: skip
    assert (sent["state"], sent["requested_by"], sent["reason"]) == ("waiting", "anna", "hangs")
    told = do(config, "command", "show", sent["id"])
    assert told.startswith(f"waiting     {sent['id']}  reboot of lock 1f00a1 (estate-1/gw-0001), asked for ")
    assert "by anna: hangs; not sent, expires" in told
    do(config, "command", "send", lock.name, "enable_chambers", "--mask", "2")
    assert len(do(config, "command", "list", "--lock", lock.name).splitlines()) == 2
    assert do(config, "command", "withdraw", sent["id"]) == f"{sent['id']}: withdrawn\n"
    listed = json.loads(do(config, "command", "list", "--gateway", "estate-1/gw-0001", "--json"))
    assert [each["state"] for each in listed] == ["waiting", "withdrawn"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("command", "send", "1f00ff", "reboot"), 1, "no gateway has reported it"),
        (("command", "send", "1f00a1", "open"), 65, "expected one of sync_clock"),
        (("command", "send", "1f00a1", "enable_chambers"), 65, "a mask belongs to"),
        (("command", "send", "1f00a1", "reboot", "--ttl", "25h"), 65, "10 s to 24 h"),
        (("command", "send", "1f00a1", "reboot", "--ttl", "soon"), 2, "90s, 10m or 2h"),
        (("command", "show", "nobody-knows"), 1, "`cloud-sink command list` shows all"),
        (("command", "withdraw", "nobody-knows"), 1, "there is no command"),
        (("command", "list", "--gateway", "gw-0001"), 65, "expected site/gateway"),
        (("access-list", "show", "1f00a1"), 1, "nobody has set an access list"),
        (("access-list", "set", "1f00a1", "none.csv"), 65, "can't be read"),
        (("transponder", "add", "none.csv"), 65, "can't be read"),
        (("orders-key", "public"), 78, "make one with `cloud-sink orders-key make`"),
        (("orders-key", "show"), 78, "[authority] is missing"),
    ],
)
def test_what_cannot_be_says_what_to_do(
    config: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    assert told in do(config, *arguments, expect=code)


def test_whoever_waits_is_told_when_nobody_answers_in_time(
    config: str, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_sink.orders.ordering._SHORTEST_TTL_S", 1)
    monkeypatch.setattr("cloud_sink.commands.orders._ANSWER_TAKES_S", 0.1)
    result = CliRunner().invoke(
        app, ["command", "send", lock.name, "read_now", "--wait", "--ttl", "1s", "--config", config]
    )
    assert result.exit_code == 1
    assert result.stdout.startswith("unanswered") and "waiting …" in result.stderr


def test_whoever_stops_waiting_is_told_how_to_ask_later(
    config: str, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cloud_sink.commands.orders.time.sleep", interrupt)
    told = do(config, "command", "send", lock.name, "read_now", "--wait", expect=130)
    (left,) = json.loads(do(config, "command", "list", "--json"))
    assert f"cloud-sink command show {left['id']}" in told and left["state"] == "waiting"


@pytest.mark.parametrize(("outcome", "lasts"), [("expired", True), ("rejected", False)])
def test_whoever_looks_at_an_expired_command_is_told_that_what_it_wished_lasts(
    config: str, rig: TwinRig, lock: FakeLock, outcome: str, lasts: bool
) -> None:
    command = rig.order(lock, "enable_chambers", enable_mask=2)
    rig.answer(command, outcome)
    told = do(config, "command", "show", command)
    assert ("`cloud-sink lock desire 1f00a1 enable_mask none` takes that back" in told) is lasts


def test_a_list_is_set_by_numbers_and_shown_by_pseudonyms(config: str, rig: TwinRig, lock: FakeLock) -> None:
    told = do(config, "access-list", "set", lock.name, "-", given=LIST)
    assert "is wanted from now on: 3 transponders" in told
    assert "nothing changes" in do(config, "access-list", "set", lock.name, "-", given=LIST)
    assert "is wanted from now on" in do(config, "access-list", "set", lock.name, "-", "--again", given=LIST)
    shown = do(config, "access-list", "show", lock.name).splitlines()
    assert shown[0].endswith("it still has version 7")
    assert "3 transponders, 1 of service, 1 blocked; set" in shown[1]
    entries = do(config, "access-list", "show", lock.name, "--entries")
    assert entries.startswith("credential,service,blocked\n") and entries.count("\n") == 4
    assert "nothing changes" in do(config, "access-list", "set", lock.name, "-", given=entries)
    found = json.loads(do(config, "access-list", "show", lock.name, "--json"))
    assert (found["view"]["entries"], len(found["transponders"])) == (3, 3)
    assert not [number for number in NUMBERS if number in told + entries + "".join(shown)]


def test_pseudonyms_without_a_number_are_told_and_the_others_are_set(
    config: str, rig: TwinRig, lock: FakeLock, tmp_path: Path
) -> None:
    raw = tmp_path / "raw.csv"
    raw.write_text("name,chip\nstock,E00401500A1B2C3D\nnone,\n")
    assert do(config, "transponder", "add", str(raw), "--column", "chip") == "1 added, 0 known before\n"
    assert do(config, "transponder", "add", "-", given="E00401500A1B2C3D\n\n0A1B2C3D\n") == (
        "1 added, 1 known before\n"
    )
    known = (rig.ledger.keys.pseudonyms.of(0x0A1B2C3D) or b"").hex()
    listed = f"credential\n{known}\n{'ab' * 16}\n"
    told = do(config, "access-list", "set", lock.name, "-", given=listed, expect=1)
    assert f"{'ab' * 16}: left out" in told and known not in told
    assert json.loads(do(config, "access-list", "show", lock.name, "--json"))["view"]["entries"] == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "the first line names the columns"),
        ("uid,credential\n", "the first line names the columns"),
        ("uid,uid\n1,1\n", "the first line names the columns"),
        ("uid,colour\n1,red\n", "the first line names the columns"),
        ("# x\nuid,blocked\n7A6BXYZ,maybe\n", "line 3: no transponder's number"),
        ("uid,blocked\n1,maybe\n", "line 2: blocked: expected yes or no"),
        ("credential\nabc\n", "expected pseudonyms of 32 hexadecimal digits"),
        ("uid\n1\n0001\n", "listed twice"),
    ],
)
def test_a_wrong_list_is_named_by_its_lines_and_never_by_its_numbers(
    config: str, lock: FakeLock, given: str, told: str
) -> None:
    found = do(config, "access-list", "set", lock.name, "-", given=given, expect=65)
    assert told in found and "7A6B" not in found


def test_numbers_are_kept_with_their_pseudonyms_and_nowhere_else(
    config: str, rig: TwinRig, lock: FakeLock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    do(config, "access-list", "set", lock.name, "-", given=LIST)
    with rig.ledger.database.reading() as connection:
        rows = {
            table.name: str(connection.execute(sa.select(table)).all()) for table in t.metadata.sorted_tables
        }
    assert [name for name, text in rows.items() if any(number in text for number in NUMBERS)] == [
        "transponders"
    ]
    assert not [number for number in NUMBERS if number in caplog.text]


def test_the_signing_key_is_made_once_for_its_owner_alone_and_its_public_half_is_told(
    config: str, tmp_path: Path
) -> None:
    told = do(config, "orders-key", "make")
    path = tmp_path / "orders.pem"
    key = load_signing_key(path)
    assert told == f"{public_text(key)}  {key.kid}\n" == do(config, "orders-key", "public")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "there is a key already" in do(config, "orders-key", "make", expect=78)
    path.chmod(0o640)
    assert "chmod 600" in do(config, "orders-key", "public", expect=78)
    path.chmod(0o600)
    path.write_text("no key")
    assert "isn't a private key in PEM" in do(config, "orders-key", "public", expect=78)
