"""The gateway's identity: asked for, taken only from whom it may be, installed all at once, renewed in time."""

import os
import shutil
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.alarms import Alarms
from edge_agent.config_rules import load_config, load_signing_key
from edge_agent.enrolling import accept_answer, applicant, ask_to_renew, ask_with_token
from edge_agent.errors import AnswerRejected, BrokerUnavailable, CertificateRefused, ConfigError
from edge_agent.identity import IdentityStore
from edge_agent.keygen import make_signing_key
from edge_agent.renewal import Renewal
from tests.unit.edge_agent.configurations import GOOD, write
from tests.unit.edge_agent.identities import AT, Signer, identity_config
from wastelock.enrolment import Token, check_request, common_name, endorsement_holds
from wastelock.messages import IdentityAnswer, IdentityRequest


class Site:
    """A gateway's identity, its authority, and what surrounds the renewal: line, clock, trial."""

    def __init__(self, directory: Path, more: str = "") -> None:
        self.config = identity_config(directory, more)
        self.store = IdentityStore(directory / "identity")
        self.signer = Signer()
        self.alarms = Alarms()
        self.answers: deque[bytes] = deque()
        self.asked: list[IdentityRequest] = []
        self.at = AT
        self.at_s = 0.0
        self.is_connected = True
        self.trouble: Exception | None = None
        self.installed = 0

    def publish_request(self, topic: str, payload: bytes) -> None:
        assert topic == "wl/1/site-1/gw-0001/up/identity"
        self.asked.append(IdentityRequest.model_validate_json(payload))

    def try_identity(self, directory: Path) -> None:
        assert (directory / "gateway.crt").exists()
        if self.trouble is not None:
            raise self.trouble

    def enrol(self) -> None:
        request = ask_with_token(self.store, self.config, self.signer.token(), AT)
        accept_answer(self.store, applicant(self.config), self.signer.answer(request).to_json())
        self.store.install()

    def renewal(self) -> Renewal:
        assert self.config.identity is not None
        return Renewal(
            self.config, self.config.identity, self, self.answers, self.alarms, lambda: self.at, self.try_identity,
            self._count, now_s=lambda: self.at_s,
        )  # fmt: skip

    def _count(self) -> None:
        self.installed += 1

    @property
    def expires_at(self) -> datetime:
        certificate = self.store.certificate()
        assert certificate is not None
        return certificate.not_valid_after_utc


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_enrolled_gateway_has_certificate_and_keys_that_only_its_user_can_read(site: Site) -> None:
    site.enrol()
    certificate = site.store.certificate()
    assert certificate is not None and common_name(certificate.subject) == "gw-0001"
    assert certificate.public_key() == site.store.key().public_key()
    config = load_config(site.config.file)  # now everything that it names is there
    assert config.mqtt.cert_file == site.store.current / "gateway.crt"
    assert load_signing_key(config.gateway.signing_key).kid
    modes = {path.stat().st_mode & 0o077 for path in site.store.current.iterdir()}
    assert modes == {0} and site.store.directory.stat().st_mode & 0o077 == 0
    assert site.store.pending() is None


def test_the_request_holds_no_private_key(site: Site) -> None:
    request = ask_with_token(site.store, site.config, site.signer.token(), AT)
    assert "PRIVATE" not in request.body
    pending = site.store.directory / "pending"
    for name in ("gateway.key", "signing.pem"):
        secret = "".join((pending / name).read_text().splitlines()[1:-1])
        assert secret[-40:-8] not in request.to_json().decode()


def test_asking_again_with_the_same_token_gives_the_same_request(site: Site) -> None:
    first = ask_with_token(site.store, site.config, site.signer.token(), AT)
    assert ask_with_token(site.store, site.config, site.signer.token(), AT + timedelta(hours=1)) == first
    other = ask_with_token(site.store, site.config, Token("another", site.signer.token().authority), AT)
    assert other != first
    # but with the page-signing key of before: it may be known already
    assert check_request(other).body.signing_key == check_request(first).body.signing_key


def test_before_enrolment_the_configuration_says_what_to_do(site: Site) -> None:
    with pytest.raises(
        ConfigError, match=r"identity\.directory: .*holds no certificate yet.*`edge-agent enroll`"
    ):
        load_config(site.config.file)


def test_files_that_the_identity_brings_along_may_not_be_named_by_hand(tmp_path: Path) -> None:
    text = GOOD.replace("[mqtt]", '[mqtt]\ncert_file = "x.crt"') + '[identity]\ndirectory = "identity"\n'
    with pytest.raises(ConfigError, match=r"mqtt\.cert_file: is set; expected nothing"):
        load_config(write(tmp_path, text), key_must_exist=False)


def test_a_page_signing_key_that_the_configuration_names_is_enrolled_and_stays(tmp_path: Path) -> None:
    key = make_signing_key(tmp_path / "gateway.pem")
    config = load_config(write(tmp_path, GOOD + '[identity]\ndirectory = "identity"\n'), key_must_exist=False)
    store, signer = IdentityStore(tmp_path / "identity"), Signer()
    request = ask_with_token(store, config, signer.token(), AT)
    assert check_request(request).signing_key == key.private.public_key()
    accept_answer(store, applicant(config), signer.answer(request).to_json())
    store.install()
    assert not (store.current / "signing.pem").exists()
    with pytest.raises(ConfigError, match="names a file of its own"):
        ask_to_renew(store, config, AT, new_signing_key=True)


def test_an_answer_is_taken_only_from_the_authority_that_the_token_named(site: Site) -> None:
    request = ask_with_token(site.store, site.config, site.signer.token(), AT)
    with pytest.raises(AnswerRejected, match="another authority"):
        accept_answer(site.store, applicant(site.config), Signer().answer(request).to_json())


def test_a_renewal_is_taken_only_from_the_authority_of_the_present_certificate(site: Site) -> None:
    site.enrol()
    request = ask_to_renew(site.store, site.config, AT, new_signing_key=False)
    with pytest.raises(AnswerRejected, match="another authority"):
        accept_answer(site.store, applicant(site.config), Signer().answer(request).to_json())


def test_answers_that_dont_fit_are_refused(site: Site) -> None:
    who = applicant(site.config)
    with pytest.raises(AnswerRejected, match="nothing was asked for"):
        accept_answer(site.store, who, b"{}")
    old = ask_with_token(site.store, site.config, site.signer.token(), AT)
    new = ask_with_token(site.store, site.config, Token("another", site.signer.token().authority), AT)
    for payload, why in (
        (b"not json", "isn't an answer"),
        (site.signer.answer(old).to_json(), "another request"),
        (site.signer.answer(new, name="gw-0002").to_json(), "another gateway's certificate"),
        (
            IdentityAnswer(request=check_request(new).id, at=AT, refused="no").to_json(),
            "authority says no: no",
        ),
        (
            site.signer.answer(new)
            .model_copy(update={"certificate": site.signer.answer(old).certificate})
            .to_json(),
            "for another key",
        ),
    ):
        with pytest.raises(AnswerRejected, match=why):
            accept_answer(site.store, who, payload)
    assert site.store.version is None


def test_a_renewal_is_endorsed_by_the_certificate_in_use(site: Site) -> None:
    site.enrol()
    certificate = site.store.certificate()
    assert certificate is not None
    checked = check_request(ask_to_renew(site.store, site.config, AT, new_signing_key=False))
    assert endorsement_holds(checked, certificate)
    assert checked.csr.public_key() != certificate.public_key()


def test_after_a_power_cut_at_any_step_there_is_a_whole_identity(site: Site, tmp_path: Path) -> None:
    site.enrol()
    before = site.store.certificate()
    request = ask_to_renew(site.store, site.config, AT, new_signing_key=True)
    accept_answer(site.store, applicant(site.config), site.signer.answer(request).to_json())
    halfway = tmp_path / "halfway"
    shutil.copytree(site.store.directory, halfway, symlinks=True)
    site.store.install()
    # What a cut leaves behind: new version made but not in use, or in use while what was asked is still there.
    shutil.copytree(site.store.directory / "v2", halfway / "version.new")
    store = IdentityStore(halfway)
    assert store.certificate() == before and store.pending() is not None
    store.install()
    assert store.certificate() == site.store.certificate()
    shutil.copytree(tmp_path / "identity" / "v2", tmp_path / "identity" / "pending")
    assert site.store.pending() is None and not (tmp_path / "identity" / "pending").exists()


def test_renewal_asks_at_two_thirds_of_the_life_and_again_until_it_is_answered(site: Site) -> None:
    site.enrol()
    renewal = site.renewal()
    site.at = AT + timedelta(days=60) - timedelta(seconds=1)
    renewal.step()
    assert site.asked == []
    site.at += timedelta(seconds=2)
    renewal.step()
    renewal.step()
    assert len(site.asked) == 1
    site.at_s += 3600
    renewal.step()
    assert len(site.asked) == 2 and site.asked[0] == site.asked[1]  # the same: so it gets the same answer
    assert site.alarms.texts() == ()


def test_the_agent_begins_afresh_with_the_new_certificate_once_sinks_know_the_key(site: Site) -> None:
    site.enrol()
    renewal, old = site.renewal(), site.expires_at
    site.at = AT + timedelta(days=61)
    renewal.step()
    site.answers.append(site.signer.answer(site.asked[0], site.at, grace_s=60).to_json())
    renewal.step()
    assert site.installed == 0
    site.at_s += 61
    renewal.step()
    assert site.installed == 1 and site.expires_at == site.at + timedelta(days=90) > old
    site.renewal().step()
    assert site.installed == 1 and site.alarms.texts() == ()


def test_a_certificate_that_the_broker_refuses_isnt_used_and_that_is_said(site: Site) -> None:
    site.enrol()
    renewal, old = site.renewal(), site.expires_at
    site.at = AT + timedelta(days=61)
    renewal.step()
    site.answers.append(site.signer.answer(site.asked[0], site.at).to_json())
    site.trouble = BrokerUnavailable("away")
    renewal.step()
    assert site.expires_at == old and site.alarms.texts() == ()
    site.trouble, site.at_s = CertificateRefused("unknown authority"), site.at_s + 60
    renewal.step()
    assert "unknown authority" in site.alarms.texts()[0] and site.expires_at == old
    site.trouble, site.at_s = None, site.at_s + 60
    renewal.step()
    assert site.expires_at > old and site.alarms.texts() == ()


def test_another_request_takes_the_place_of_a_refused_one_and_its_key_is_waited_for(site: Site) -> None:
    site.enrol()
    renewal, old = site.renewal(), site.expires_at
    for _ in range(2):
        ask_to_renew(
            site.store, site.config, AT, new_signing_key=True
        )  # as `edge-agent enroll --new-signing-key`
        renewal.step()
        site.answers.append(site.signer.answer(site.asked[-1], AT + timedelta(days=1), grace_s=60).to_json())
        site.trouble, site.at_s = CertificateRefused("revoked"), site.at_s + 1000
        renewal.step()
    site.trouble = None
    assert len({request.body for request in site.asked}) == 2
    renewal.step()
    assert site.installed == 0 and site.expires_at == old
    site.at_s += 60
    renewal.step()
    assert site.installed == 1 and site.expires_at > old


def test_what_isnt_renewed_in_time_is_an_alarm_that_says_what_to_do(site: Site) -> None:
    site.enrol()
    renewal = site.renewal()
    for days, said in ((80, "isn't renewed: does `cloud-sink ca run` run"), (91, "enrol anew with a token")):
        site.at = AT + timedelta(days=days)
        renewal.step()
        assert [said in text for text in site.alarms.texts()] == [True]
    site.at = AT - timedelta(days=1)
    renewal.step()
    assert "is this gateway's clock right?" in site.alarms.texts()[0]


def test_a_refusal_of_the_authority_is_an_alarm_until_there_is_a_certificate(site: Site) -> None:
    site.enrol()
    renewal = site.renewal()
    site.at = AT + timedelta(days=61)
    renewal.step()
    refused = IdentityAnswer(
        request=check_request(site.asked[0]).id, at=site.at, refused="revoked: enrol anew"
    )
    site.answers.append(refused.to_json())
    renewal.step()
    assert "the authority says no: revoked: enrol anew" in site.alarms.texts()[0]
    site.answers.append(site.signer.answer(site.asked[0], site.at).to_json())
    renewal.step()
    assert site.alarms.texts() == () and site.installed == 1


def test_an_old_page_signing_key_is_replaced_at_a_renewal_and_a_young_one_isnt(tmp_path: Path) -> None:
    site = Site(tmp_path, "new_signing_key_days = 50\n")
    site.enrol()
    made_at = site.store.signing_key_made_at()
    assert made_at is not None
    keys = [check_request(ask_to_renew(site.store, site.config, AT, new_signing_key=False)).body.signing_key]
    shutil.rmtree(site.store.directory / "pending")
    for age_days in (61, 49):
        renewal = site.renewal()
        site.at = max(made_at + timedelta(days=age_days), AT + timedelta(days=61))
        stamp = (site.at - timedelta(days=age_days)).timestamp()
        os.utime(site.store.current / "signing.pem", (stamp, stamp))
        renewal.step()
        keys.append(check_request(site.asked[-1]).body.signing_key)
        shutil.rmtree(site.store.directory / "pending")
    assert keys[1] != keys[0] and keys[2] == keys[0]


def test_a_page_signing_key_keeps_its_age_over_renewals(site: Site) -> None:
    site.enrol()
    made_at, kid = site.store.signing_key_made_at(), load_signing_key(site.config.gateway.signing_key).kid
    request = ask_to_renew(site.store, site.config, AT, new_signing_key=False)
    accept_answer(site.store, applicant(site.config), site.signer.answer(request).to_json())
    site.store.install()
    assert (site.store.signing_key_made_at(), load_signing_key(site.config.gateway.signing_key).kid) == (
        made_at,
        kid,
    )


def test_an_identity_that_was_installed_by_hand_is_noticed(site: Site) -> None:
    site.enrol()
    renewal = site.renewal()
    renewal.step()
    assert site.installed == 0
    request = ask_to_renew(site.store, site.config, AT, new_signing_key=True)
    accept_answer(site.store, applicant(site.config), site.signer.answer(request).to_json())
    site.store.install()
    renewal.step()
    assert site.installed == 1
