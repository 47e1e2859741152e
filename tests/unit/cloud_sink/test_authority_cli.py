"""The authority's commands: what they say where something is missing, and where their files go."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from cloud_sink.authority.serving import Serving
from cloud_sink.cli import app
from cloud_sink.config import MqttSection, load_config
from cloud_sink.errors import ConfigError
from tests.support.authority import Applicant, Office, serial
from wastelock.enrolment import Token
from wastelock.page import key_id, to_base64url
from wastelock.topics import parse_gateway_topic

HEAD = '[ledger]\nurl = "sqlite:///l.sqlite"\n'


def run(directory: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(directory / "sink.toml")], input=text)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "sink.toml").write_text(f'{HEAD}[keys]\nenrolled = "enrolled.toml"\n[authority]\n')
    return tmp_path


def test_init_makes_everything_beside_the_configuration_and_only_once(directory: Path) -> None:
    assert run(directory, "ca", "init").exit_code == 0
    made = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert made == {
        "sink.toml", "enrolled.toml", "ca/ca.key", "ca/ca.crt", "ca/ca.crl", "ca/acl.conf", "ca/register.sqlite",
    }  # fmt: skip
    again = run(directory, "ca", "init")
    assert again.exit_code == 78 and "never overwritten" in again.stderr


def test_what_is_missing_in_the_configuration_is_named(tmp_path: Path) -> None:
    for text, said in (
        (HEAD, "[authority] is missing"),
        (f"{HEAD}[authority]\n", "keys.enrolled is missing"),
    ):
        (tmp_path / "sink.toml").write_text(text)
        done = run(tmp_path, "ca", "init")
        assert done.exit_code == 78 and said in done.stderr
    (tmp_path / "sink.toml").write_text(f'{HEAD}[keys]\nenrolled = "e.toml"\n[authority]\n')
    done = run(tmp_path, "acl")
    assert done.exit_code == 78 and "cloud-sink ca init" in done.stderr


def test_token_request_answer_and_rules_go_through_files_or_pipes(directory: Path) -> None:
    run(directory, "ca", "init")
    told = json.loads(run(directory, "enroll", "token", "gw-0001", "--site", "lindenhof", "--json").stdout)
    request = Applicant().request(Token.parse(told["token"]).secret).to_json().decode()
    (directory / "request").write_text(request)
    piped = run(directory, "enroll", "sign", "-", text=request)
    assert piped.exit_code == 0 and json.loads(piped.stdout)["certificate"].startswith("-----BEGIN")
    assert "systemctl reload mosquitto" in piped.stderr
    filed = run(
        directory, "enroll", "sign", str(directory / "request"), "--answer", str(directory / "answer")
    )
    assert filed.exit_code == 0
    assert (
        json.loads((directory / "answer").read_text())["certificate"]
        == json.loads(piped.stdout)["certificate"]
    )
    assert "user gw-0001" in run(directory, "acl").stdout
    assert run(directory, "acl", "--out", str(directory / "rules")).exit_code == 0
    assert (directory / "rules").read_text() == (directory / "ca" / "acl.conf").read_text()
    shown = run(directory, "ca", "show", "gw-0001").stdout
    assert "lindenhof" in shown and "valid" in shown and "in use" in shown


def test_what_isnt_a_request_is_rejected_as_input(directory: Path) -> None:
    run(directory, "ca", "init")
    assert run(directory, "enroll", "sign", "-", text="{}").exit_code == 65
    missing = run(directory, "renew", str(directory / "nothing"))
    assert missing.exit_code == 65 and "can't be read" in missing.stderr


def test_a_programs_key_is_its_owners_alone_and_isnt_overwritten(directory: Path) -> None:
    run(directory, "ca", "init")
    issue = ("ca", "issue", "sink-1", "--role", "sink", "--out", str(directory / "certs"))
    assert run(directory, *issue).exit_code == 0
    assert (directory / "certs" / "sink-1.key").stat().st_mode & 0o777 == 0o600
    again = run(directory, *issue)
    assert again.exit_code == 1 and "is there already" in again.stderr
    hostless = run(directory, "ca", "issue", "mqtt", "--role", "broker", "--out", str(directory / "certs"))
    assert hostless.exit_code == 1 and "names or addresses" in hostless.stderr


def test_renewals_arent_served_with_the_sinks_own_certificate(directory: Path) -> None:
    for name in ("ca.crt", "sink.crt", "sink.key"):
        (directory / name).touch()
    mqtt = '[mqtt]\nca_file = "ca.crt"\ncert_file = "sink.crt"\nkey_file = "sink.key"\n'
    (directory / "sink.toml").write_text(f"{HEAD}{mqtt}[authority]\n")
    with pytest.raises(ConfigError, match=r"authority\.cert_file is missing"):
        _ = load_config(directory / "sink.toml").authority_broker


def test_a_renewal_is_answered_on_its_own_topic_only_and_a_busy_register_answers_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, gateway = Office(tmp_path), Applicant()
    serving = Serving(MqttSection(), office.authority, office.files, lambda: office.at)
    own, other = (
        parse_gateway_topic(f"wl/1/lindenhof/{name}/up/identity") for name in ("gw-0001", "gw-0002")
    )
    first = office.answer(gateway.request(office.token()))
    office.at += timedelta(days=60)
    renewed = Applicant()
    request = renewed.request(serial=serial(first), endorser=gateway.key).to_json()
    assert serving.answer(own, b"no request") is None
    refused = serving.answer(other, request)
    assert refused is not None and "another gateway's topic" in (refused.refused or "")
    monkeypatch.setattr("cloud_sink.authority.register._WAIT_S", 0.01)
    with closing(sqlite3.connect(office.vault.register, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        assert serving.answer(own, request) is None
    answer = serving.answer(own, request)
    assert answer is not None and answer.certificate
    assert renewed.signing.kid in office.kids()


def test_an_order_key_that_begins_with_a_dash_is_added_and_retired_as_any_other(directory: Path) -> None:
    run(directory, "ca", "init")
    key = Ed25519PrivateKey.from_private_bytes((756).to_bytes(32, "big")).public_key()
    text, kid = to_base64url(key.public_bytes_raw()), key_id(key)
    assert (text[0], kid[:2]) == ("-", "--")
    assert run(directory, "orders-key", "add", text).exit_code == 0
    assert run(directory, "orders-key", "retire", kid, "--reason", "replaced").exit_code == 0
    (shown,) = json.loads(run(directory, "orders-key", "show", "--json").stdout)
    assert shown["kid"] == kid and shown["retired_at"] is not None
