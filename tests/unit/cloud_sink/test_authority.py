"""The authority's decisions: single-use tokens, proofs, renewals with overlap, revocation, and who reads what of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sink.authority.certificates import make_issuer
from cloud_sink.authority.enrolling import Terms
from cloud_sink.authority.register import SigningKeyRow
from cloud_sink.authority.vault import Vault
from cloud_sink.errors import ConfigError, NotPossible
from cloud_sink.keys import KeyFiles
from cloud_sink.operating import Author
from tests.support.authority import BOSS, START, Applicant, Office, certificate, serial
from tests.support.fake_gateway import FakeGateway
from tests.support.ledger import write_keys
from wastelock.enrolment import (
    InvalidRequest,
    Token,
    check_request,
    common_name,
    fingerprint,
)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_token_gives_a_certificate_for_90_days_and_puts_the_signing_key_in_force(office: Office) -> None:
    gateway = Applicant()
    made = certificate(office.answer(gateway.request(office.token())))
    assert common_name(made.subject) == "gw-0001" and made.public_key() == gateway.key.public_key()
    assert made.not_valid_after_utc - office.at == timedelta(days=90)
    assert made.not_valid_before_utc < office.at  # a clock that is a little slow must do
    made.verify_directly_issued_by(office.authority.issuer.certificate)
    assert office.kids() == {gateway.signing.kid}


def test_only_a_hash_of_the_token_is_kept(office: Office) -> None:
    secret = office.token()
    assert secret.encode() not in office.vault.register.read_bytes()


def test_a_token_used_twice_expired_unknown_or_for_another_gateway_is_refused(office: Office) -> None:
    secret = office.token()
    office.refuses(Applicant("gw-0002").request(secret), "made for another gateway")
    office.refuses(Applicant(site="rosenhof").request(secret), "made for another gateway or site")
    office.answer(Applicant().request(secret))
    office.refuses(Applicant().request(secret), "used already, by another request")
    late = office.token(hours=1)
    office.at += timedelta(hours=1)
    office.refuses(Applicant().request(late), "has expired")
    office.refuses(Applicant().request("invented"), "isn't known")
    replaced = office.token()
    office.token()
    office.refuses(Applicant().request(replaced), "isn't known here, or a newer one has taken its place")


def test_a_request_that_was_refused_hasnt_used_up_the_token(office: Office) -> None:
    other = Applicant("gw-0002")
    office.answer(other.request(office.token("gw-0002")))
    secret = office.token()
    office.refuses(
        Applicant().request(secret, signing=other.signing), "is another gateway's: was its disk copied"
    )
    office.answer(Applicant().request(secret))


def test_the_same_request_gets_the_same_certificate_again(office: Office) -> None:
    request = Applicant().request(office.token())
    first = office.answer(request)
    office.at += timedelta(days=3)
    assert office.answer(request).certificate == first.certificate


def test_a_renewal_leaves_the_old_certificate_and_the_old_key_in_force(office: Office) -> None:
    gateway, renewed = Applicant(), Applicant()
    old = office.answer(gateway.request(office.token()))
    office.at += timedelta(days=60)
    new = office.answer(renewed.request(serial=serial(old), endorser=gateway.key))
    assert new.sign_from == office.at + Terms().grace
    assert certificate(new).not_valid_after_utc == office.at + timedelta(days=90)
    assert office.revoked() == set()
    assert office.kids() == {gateway.signing.kid, renewed.signing.kid}
    office.at += timedelta(days=90, seconds=1)
    assert office.kids() == {renewed.signing.kid}
    kept = {row.kid for row in _keys(office)}
    assert kept == {gateway.signing.kid, renewed.signing.kid}  # old pages stay verifiable


def test_a_renewal_needs_the_key_of_a_certificate_in_force(office: Office) -> None:
    gateway, other = Applicant(), Applicant("gw-0002")
    mine = office.answer(gateway.request(office.token()))
    theirs = office.answer(other.request(office.token("gw-0002")))
    office.refuses(Applicant().request(serial=serial(mine), endorser=other.key), "endorsement doesn't hold")
    office.refuses(Applicant().request(serial=serial(mine)), "endorsement doesn't hold")
    office.refuses(Applicant().request(serial=serial(theirs), endorser=other.key), "isn't this gateway's")
    office.refuses(Applicant().request(serial="abc", endorser=gateway.key), "isn't this gateway's")
    office.refuses(Applicant("gw-0003").request(serial=serial(mine), endorser=gateway.key), "isn't enrolled")
    office.at += timedelta(days=91)
    office.refuses(
        Applicant().request(serial=serial(mine), endorser=gateway.key), "has expired or is revoked"
    )


def test_a_revoked_gateway_loses_certificates_keys_rules_and_unused_tokens(office: Office) -> None:
    gateway = Applicant()
    first = office.answer(gateway.request(office.token()))
    unused = office.token()
    assert office.authority.revoke("gw-0001", None, Author("boss", "stolen")) == 1
    assert office.revoked() == {certificate(first).serial_number}
    assert office.kids() == set()
    assert "gw-0001" not in office.files.access_rules.read_text()
    office.refuses(Applicant().request(unused), "isn't known")
    office.refuses(Applicant().request(serial=serial(first), endorser=gateway.key), "was revoked")
    office.refuses(gateway.request(office.token()), "signing key was revoked")
    again = Applicant()
    office.answer(again.request(office.token()))
    assert office.kids() == {again.signing.kid}
    assert office.revoked() == {certificate(first).serial_number}


def test_one_certificate_can_be_revoked_alone(office: Office) -> None:
    gateway = Applicant()
    first = office.answer(gateway.request(office.token()))
    second = office.answer(
        Applicant().request(serial=serial(first), endorser=gateway.key, signing=gateway.signing)
    )
    office.authority.revoke("gw-0001", serial(first), BOSS)
    assert office.revoked() == {certificate(first).serial_number}
    assert office.kids() == {gateway.signing.kid}
    with pytest.raises(NotPossible, match="no such certificate"):
        office.authority.revoke("gw-0001", "abc", BOSS)
    assert certificate(second).serial_number not in office.revoked()


def test_what_the_authority_says_goes_before_what_was_listed_by_hand(office: Office) -> None:
    by_hand = FakeGateway("gw-0001", "lindenhof")
    gateway = Applicant()
    office.answer(gateway.request(office.token()))
    office.authority.revoke("gw-0001", None, BOSS)
    office.publish()
    write_keys(office.directory, [by_hand, FakeGateway("gw-0009", "lindenhof", seed=2)])
    files = KeyFiles(
        office.directory / "gateways.toml", office.directory / "lock-keys.csv", office.directory / "pseudonym.key",
        office.files.enrolled,
    )  # fmt: skip
    keys = files.load().gateways
    assert keys["lindenhof", "gw-0001"] == {} and len(keys["lindenhof", "gw-0009"]) == 1
    assert not files.have_changed()
    office.answer(Applicant().request(office.token()))
    office.publish()
    assert files.have_changed()


def test_files_are_written_only_when_something_has_changed(office: Office) -> None:
    assert office.files.write(office.authority.register, office.authority.issuer, office.at) == []
    office.answer(Applicant().request(office.token()))
    changed = office.files.write(office.authority.register, office.authority.issuer, office.at)
    assert changed == [office.files.enrolled, office.files.access_rules]


def test_rules_are_written_out_for_each_user_without_patterns(office: Office) -> None:
    office.answer(Applicant().request(office.token()))
    office.authority.issue("sink-1", "sink", (), timedelta(days=730), BOSS)
    office.authority.issue("mqtt", "broker", ("127.0.0.1",), timedelta(days=730), BOSS)
    office.publish()
    text = office.files.access_rules.read_text()
    assert "pattern" not in text and "%" not in text and "user mqtt" not in text
    assert (
        "user gw-0001\n"
        "topic write wl/1/lindenhof/gw-0001/up/#\n"
        "topic readwrite wl/1/lindenhof/gw-0001/state/#\n"
        "topic read wl/1/lindenhof/gw-0001/down/#\n"
        "topic read wl/1/sink/state\n"
    ) in text
    assert "user sink-1\ntopic read wl/1/+/+/up/#\n" in text


def test_names_are_one_for_all(office: Office) -> None:
    office.authority.issue("sink-1", "sink", (), timedelta(days=1), BOSS)
    with pytest.raises(NotPossible, match="another program's certificate"):
        office.token("sink-1")
    office.answer(Applicant().request(office.token()))
    with pytest.raises(NotPossible, match="a name in use: gateway"):
        office.authority.issue("gw-0001", "sink", (), timedelta(days=1), BOSS)
    with pytest.raises(NotPossible, match="belongs to site lindenhof"):
        office.token("gw-0001", "rosenhof")


def test_a_gateway_that_asks_on_and_on_gets_20_certificates_a_day(office: Office) -> None:
    gateway = Applicant()
    first = office.answer(gateway.request(office.token()))
    for _ in range(19):
        office.answer(
            Applicant().request(serial=serial(first), endorser=gateway.key, signing=gateway.signing)
        )
    more = Applicant().request(serial=serial(first), endorser=gateway.key, signing=gateway.signing)
    office.refuses(more, "no more before tomorrow")
    office.at += timedelta(days=1)
    office.answer(more)


def test_the_authoritys_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "ca")
    vault.create(make_issuer("Test", START))
    assert vault.key.stat().st_mode & 0o777 == 0o600 and vault.directory.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ConfigError, match="never overwritten"):
        vault.create(make_issuer("Test", START))
    vault.key.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        vault.open()


def test_a_passphrase_protects_the_key(tmp_path: Path) -> None:
    phrase = tmp_path / "passphrase"
    phrase.write_text("correct horse\n")
    Vault(tmp_path / "ca", phrase).create(make_issuer("Test", START))
    assert b"ENCRYPTED" in (tmp_path / "ca" / "ca.key").read_bytes()
    Vault(tmp_path / "ca", phrase).open()
    phrase.write_text("wrong\n")
    for vault in (Vault(tmp_path / "ca"), Vault(tmp_path / "ca", phrase)):
        with pytest.raises(ConfigError, match="passphrase_file"):
            vault.open()


def test_a_csr_for_another_name_is_refused(office: Office) -> None:
    office.refuses(Applicant().request(office.token(), csr_for="gw-0002"), "is for another name")


REQUEST = Applicant().request("secret")


@given(st.data())
def test_a_request_with_any_other_byte_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(REQUEST.body) - 1))
    other = data.draw(
        st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != REQUEST.body[at])
    )
    changed = REQUEST.model_copy(update={"body": REQUEST.body[:at] + other + REQUEST.body[at + 1 :]})
    with pytest.raises(InvalidRequest):
        check_request(changed)


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    try:
        token = Token.parse(text)
    except ValueError:
        return
    assert str(token) == text.strip()


def test_a_token_names_its_authority(office: Office) -> None:
    token, _ = office.authority.make_token("gw-0001", "lindenhof", timedelta(hours=1), BOSS)
    assert Token.parse(str(token)) == token
    assert token.authority == fingerprint(office.authority.issuer.certificate)


def _keys(office: Office) -> list[SigningKeyRow]:
    with office.authority.register.reading() as decision:
        return decision.signing_keys("gw-0001")
