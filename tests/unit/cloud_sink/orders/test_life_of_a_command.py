"""Whatever happens in whatever order: a command is sent under each number once, and the first last word holds."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sink.errors import NotPossible
from cloud_sink.orders.model import CommandState, CommandView
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import TECHNICIAN, TwinRig
from tests.unit.cloud_sink.orders.outbox import Outbox, commanding
from wastelock.page import SigningKey

KEY = SigningKey(Ed25519PrivateKey.generate())
LAST_WORDS = ("done", "rejected", "expired", "failed")
DEEDS = st.lists(
    st.sampled_from(
        ["one sink", "other sink", "withdraw", "accepted", *LAST_WORDS, "a moment", "minutes", "hour"]
    ),
    max_size=25,
)


class Life:
    """One command, two sinks, and what was seen of it."""

    def __init__(self, rig: TwinRig, lock: FakeLock) -> None:
        self.rig, self.outbox = rig, Outbox()
        self.sinks = [commanding(rig, self.outbox, KEY) for _ in range(2)]
        self.id = rig.order(lock, "read_now", ttl_s=300)
        self.expires_at = self.view.expires_at
        self.first_word: str | None = None
        self.withdrawn = False

    @property
    def view(self) -> CommandView:
        found = self.rig.ordering.command(self.id)
        assert found is not None
        return found

    def do(self, deed: str) -> None:
        waits = {"a moment": 1, "minutes": 200, "hour": 3600}
        if deed in waits:
            self.rig.clock.go_on(seconds=waits[deed])
        elif deed.endswith("sink"):
            self._send(deed == "other sink")
        elif deed == "withdraw":
            self._withdraw()
        elif self.outbox.sent:  # nobody answers to what he never got
            self.rig.answer(self.id, deed)
            if deed in LAST_WORDS:
                self.first_word = self.first_word or deed

    def _send(self, which: bool) -> None:
        before = len(self.outbox.sent)
        self.sinks[which].send_due()
        sent = len(self.outbox.sent) - before
        assert sent <= 1
        if sent:
            assert self.first_word is None and not self.withdrawn
            assert before > 0 or self.rig.clock.at < self.expires_at, "what has expired is never sent"

    def _withdraw(self) -> None:
        before = self.view
        try:
            self.rig.ordering.withdraw(self.id, TECHNICIAN)
            assert not self.outbox.sent, "what was sent may be carried out"
            self.withdrawn = True
        except NotPossible:
            assert self.view == before

    def check(self) -> None:
        attempts = [command.attempt for command in self.outbox.commands]
        assert attempts == list(range(1, len(attempts) + 1)), "each number once, in order"
        view = self.view
        assert view.attempt == len(attempts)
        if self.withdrawn:
            assert view.state is CommandState.WITHDRAWN
        elif self.first_word is not None:
            assert view.state.value == self.first_word
        else:
            assert view.state.is_under_way is (self.rig.clock.at < self.expires_at)


@settings(max_examples=12)
@given(deeds=DEEDS)
def test_a_command_is_sent_under_each_number_once_and_the_first_last_word_holds(deeds: list[str]) -> None:
    in_a_ledger(lambda rig, lock: live(Life(rig, lock), deeds))


def live(life: Life, deeds: list[str]) -> None:
    for deed in deeds:
        life.do(deed)
        life.check()


def in_a_ledger(work: Callable[[TwinRig, FakeLock], None]) -> None:
    """Have it done in a ledger of its own, in which a gateway has reported a lock."""
    with TemporaryDirectory() as directory:
        gateway, lock = FakeGateway(), FakeLock()
        ledger = Ledger(f"sqlite:///{directory}/ledger.sqlite", Path(directory), [gateway])
        rig = TwinRig(ledger)
        try:
            rig.hear_gateway(gateway)
            rig.hear_lock(lock, gateway)
            work(rig, lock)
        finally:
            rig.close()
            ledger.close()
