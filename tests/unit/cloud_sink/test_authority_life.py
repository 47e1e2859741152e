"""One gateway's life in any order: what sinks and broker read is what was decided."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.support.authority import BOSS, Applicant, Office, serial
from wastelock.messages import IdentityRequest


class Life(RuleBasedStateMachine):
    """One gateway's life in any order; what the model says must be what sinks and broker read."""

    directory: Path

    def __init__(self) -> None:
        super().__init__()

        self.office = Office(Path(tempfile.mkdtemp(dir=self.directory)))
        self.keys: set[str] = set()
        self.certificates: dict[str, Applicant] = {}
        self.revoked: set[int] = set()
        self.tokens: list[str] = []

    @rule()
    def make_token(self) -> None:
        self.tokens = [self.office.token()]

    @rule()
    def enrol(self) -> None:
        for secret in self.tokens:
            gateway = Applicant()
            self._took(gateway, gateway.request(secret))
        self.tokens = []

    @rule(new_key=st.booleans())
    def renew(self, new_key: bool) -> None:
        for number, endorser in list(self.certificates.items())[-1:]:
            gateway = Applicant()
            if not new_key:
                gateway.signing = endorser.signing
            self._took(gateway, gateway.request(serial=number, endorser=endorser.key))

    @rule()
    def revoke(self) -> None:
        if self.certificates:
            self.office.authority.revoke("gw-0001", None, BOSS)
            self.revoked |= {int(number, 16) for number in self.certificates}
            self.certificates, self.keys, self.tokens = {}, set(), []

    @invariant()
    def sinks_and_broker_read_what_was_decided(self) -> None:
        assert self.office.kids() == self.keys
        assert self.office.revoked() == self.revoked
        assert ("user gw-0001" in self.office.files.access_rules.read_text()) == bool(self.certificates)

    def _took(self, gateway: Applicant, request: IdentityRequest) -> None:
        answer = self.office.answer(request)
        self.certificates[serial(answer)] = gateway
        self.keys.add(gateway.signing.kid)


def test_whatever_happens_to_a_gateway_sinks_and_broker_read_what_was_decided(tmp_path: Path) -> None:

    run_state_machine_as_test(
        type("LifeHere", (Life,), {"directory": tmp_path}),
        settings=settings(max_examples=6, stateful_step_count=10, suppress_health_check=list(HealthCheck)),
    )
