"""The loop that keeps the certificate young: asks for the next one in time, tries it, and has the agent begin with it.

    two thirds of its life over ─▶ ask (again and again) ─▶ answer ─▶ wait until sinks know the key ─▶ try ─▶ install

The certificate in use stays valid throughout, so any step may fail and be done again. To change over, the agent starts
afresh from what is on disk: pages wait in the spool meanwhile, as in any short outage.
"""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Protocol

import structlog
from cryptography import x509

from edge_agent.alarms import Alarms
from edge_agent.config import AgentConfig, IdentitySettings
from edge_agent.enrolling import Applicant, accept_answer, applicant, ask_to_renew, take_statement
from edge_agent.errors import AnswerRejected, BrokerUnavailable, CertificateRefused, ConfigError
from edge_agent.identity import IdentityStore, Pending
from wastelock.enrolment import renewal_due_at
from wastelock.messages import IdentityRequest
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)
_TURN_S = 1.0
_TRY_AGAIN_S = 60.0
_LAST_PART = 8  # an alarm once less than an eighth of its life is left: 11 of 90 days
_ALARM = "certificate"


class Line(Protocol):
    """What of the uplink is needed here."""

    @property
    def is_connected(self) -> bool: ...

    def publish_request(self, topic: str, payload: bytes) -> None: ...


class Renewal:
    """`run` is the thread. `answers` is filled by the uplink; `on_installed` has the agent start afresh."""

    def __init__(
        self,
        config: AgentConfig,
        settings: IdentitySettings,
        line: Line,
        answers: deque[bytes],
        alarms: Alarms,
        now: Callable[[], datetime],
        try_identity: Callable[[Path], None],
        on_installed: Callable[[], None],
        *,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._config = config
        self._settings = settings
        self._line = line
        self._answers = answers
        self._alarms = alarms
        self._now = now
        self._now_s = now_s
        self._try_identity = try_identity
        self._on_installed = on_installed
        self._store = IdentityStore(settings.directory)
        self._who: Applicant = applicant(config)
        self._topic = GatewayTopics(self._who.site, self._who.gateway).identity_request
        self._version = self._store.version
        self._asked: IdentityRequest | None = None
        self._ask_due_s = now_s()
        self._installing: str | None = None
        self._install_due_s = 0.0
        self._trouble: str | None = None

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.step()
            stop.wait(_TURN_S)

    def step(self) -> None:
        """Do what is due; what can't be done now is done at a later turn."""
        try:
            self._step()
        except ConfigError as error:
            self._trouble = str(error)
        self._judge()

    def _step(self) -> None:
        if self._store.version != self._version:
            # `edge-agent enroll --accept` was here.
            self._version = self._store.version
            self._on_installed()
            return
        self._take_answers()
        pending = self._store.pending()
        if pending is not None and pending.answer is not None:
            self._install(pending)
        elif pending is not None or self._is_due():
            self._ask(pending)
        else:
            self._trouble = None

    def _take_answers(self) -> None:
        while self._answers:
            payload = self._answers.popleft()
            try:
                if take_statement(self._store, payload):
                    continue
                answer = accept_answer(self._store, self._who, payload)
            except AnswerRejected as error:
                self._trouble = str(error)
                _log.warning("answer not used", why=str(error))
                continue
            self._trouble = None
            _log.info("the next certificate has come", sign_from=str(answer.sign_from))

    def _is_due(self) -> bool:
        certificate = self._store.certificate()
        return certificate is not None and self._now() >= renewal_due_at(certificate)

    def _ask(self, pending: Pending | None) -> None:
        request = pending.request if pending is not None else None
        is_known = request is None or request == self._asked
        if not self._line.is_connected or (is_known and self._now_s() < self._ask_due_s):
            return
        if request is None:
            request = ask_to_renew(
                self._store, self._config, self._now(), new_signing_key=self._signing_key_is_old()
            )
            _log.info("a new certificate is asked for")
        self._asked, self._ask_due_s = request, self._now_s() + self._settings.ask_every_s
        try:
            self._line.publish_request(self._topic, request.to_json())
        except BrokerUnavailable:
            self._ask_due_s = self._now_s()

    def _signing_key_is_old(self) -> bool:
        made_at, days = self._store.signing_key_made_at(), self._settings.new_signing_key_days
        if made_at is None or not days or not self._who.keeps_signing_key:
            return False
        return self._now() - made_at > timedelta(days=days)

    def _install(self, pending: Pending) -> None:
        """Change over once sinks know the page-signing key, and if the broker takes the certificate."""
        now_s, answer = self._now_s(), pending.answer
        assert answer is not None
        if answer.request != self._installing:
            # The authority's own clock says how long: ours may be another.
            grace = answer.sign_from - answer.at if answer.sign_from is not None else timedelta()
            self._installing, self._install_due_s = answer.request, now_s + max(0.0, grace.total_seconds())
        if now_s < self._install_due_s:
            return
        try:
            self._try_identity(self._store.staged())
        except (CertificateRefused, BrokerUnavailable) as error:
            self._install_due_s = now_s + _TRY_AGAIN_S
            if isinstance(error, CertificateRefused):
                self._trouble = f"the present one stays in use: {error}"
                _log.warning("certificate not used", why=str(error))
            return
        self._store.install()
        self._version = self._store.version
        self._trouble = None
        _log.info("certificate renewed: the agent begins afresh with it")
        self._on_installed()

    def _judge(self) -> None:
        """Say what is wrong with the certificate, and what to do, as long as it is so."""
        try:
            certificate = self._store.certificate()
        except ConfigError as error:
            self._alarms.raise_(_ALARM, str(error))
            return
        text = self._trouble if certificate is None else _complaint(certificate, self._now(), self._trouble)
        if text is None:
            self._alarms.clear(_ALARM)
        else:
            self._alarms.raise_(_ALARM, text)


def _complaint(certificate: x509.Certificate, at: datetime, trouble: str | None) -> str | None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at >= end:
        return f"expired on {end:%Y-%m-%d}: enrol anew with a token (docs/operations-keys.md)"
    if at < begin:
        return f"valid from {begin:%Y-%m-%d} on only: is this gateway's clock right?"
    if trouble is not None:
        return f"valid until {end:%Y-%m-%d}; {trouble}"
    if end - at < (end - begin) / _LAST_PART:
        return (
            f"expires on {end:%Y-%m-%d} and isn't renewed: does `cloud-sink ca run` run, or renew it by file"
        )
    return None
