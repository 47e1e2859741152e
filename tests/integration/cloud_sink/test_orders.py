"""Orders on a real broker: signed on their way out, checked on their way in, kept in between; on both databases."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.keys import load_pseudonyms
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.observations import observations_after
from cloud_sink.operating import Author, Operations
from cloud_sink.operator_events import SubjectKind
from cloud_sink.orders.model import AnsweredCommand, CommandState, ListedTransponder
from cloud_sink.orders.ordering import Ordering
from cloud_sink.orders.signing_key import load_signing_key, make_signing_key
from cloud_sink.sink import now
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ordered_gateway import OrderedGateway
from tests.support.postgres import Postgres
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until

LOCK = FakeLock()
ANNA = Author("anna", "it sticks")
UIDS = (0xE0040150_00000001, 0xE0040150_00000002, 0x0A1B2C3D)
_ORDERS = '[orders]\nsigning_key = "orders.pem"\n'


class Site:
    """A broker, a sink that signs orders, a gateway with a lock that has reported itself, and the door to orders."""

    def __init__(self, url: str, port: int, sink: SinkProcess, there: OrderedGateway) -> None:
        self.url, self.port, self.sink, self.there = url, port, sink, there
        self.key = load_signing_key(sink.directory / "orders.pem")
        self.ordering = Ordering(url, now)

    def send(self, action: str) -> str:
        """Order something and return the command's id."""
        return self.ordering.request_command(LOCK.name, action, ANNA).id

    def state(self, command_id: str) -> CommandState | None:
        view = self.ordering.command(command_id)
        return None if view is None else view.state

    def answers(self, command_id: str) -> list[str]:
        """Return what the twins will learn of a command."""
        database = Database(self.url, read_only=True)
        with database.reading() as connection:
            found = [each.state for each in observations_after(connection, 0, 1000)]
        database.close()
        mine = [each for each in found if isinstance(each, AnsweredCommand) and each.id == command_id]
        return [each.outcome for each in mine]


@contextmanager
def running_site(directory: Path, url: str) -> Iterator[Site]:
    gateway = FakeGateway()
    make_signing_key(directory / "orders.pem")
    with (
        Broker(directory / "broker") as broker,
        SinkProcess(directory, url, broker.port, [gateway], limits=_ORDERS) as sink,
        OrderedGateway(broker.port, gateway, LOCK) as there,
    ):
        there.tell()
        made = Site(url, broker.port, sink, there)
        wait_until(lambda: _is_known(url), 15, "the lock to be known")
        yield made
        made.ordering.close()


def _is_known(url: str) -> bool:
    database = Database(url, read_only=True)
    try:
        with database.reading() as connection:
            return latest_reports.lock(connection, LOCK.name) is not None
    finally:
        database.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests of this file, on each kind of database: each of them orders something of its own."""
    directory = tmp_path_factory.mktemp("site")
    if request.param == "sqlite":
        with running_site(directory, f"sqlite:///{directory / 'ledger.sqlite'}") as made:
            yield made
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.create_database()
    with running_site(directory, url) as made:
        yield made
    postgres.drop_database(url)


@pytest.fixture(autouse=True)
def afresh(site: Site) -> None:
    site.there.answers = ()
    site.there.heard.clear()


def run(site: Site, *arguments: str) -> tuple[int, str]:
    """Run a command of the sink; return its exit code and what it prints."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(site.sink.config)])
    return done.exit_code, done.stdout


def test_a_command_goes_out_signed_and_what_became_of_it_is_waited_for(site: Site) -> None:
    there = site.there
    there.answers = ("accepted", "done")
    code, told = run(site, "command", "send", LOCK.name, "read_now", "--wait", "--ttl", "2m")
    assert (code, told.startswith("done"), "sent once" in told) == (0, True, True), told
    (heard,) = (each for each in there.heard if each.topic == there.gateway.topics.command)
    (command,) = there.commands
    assert heard.is_signed_by(site.key.private.public_key()) and heard.user["kid"] == site.key.kid
    assert (command.lock, command.action, command.attempt) == (LOCK.name, "read_now", 1)
    assert (command.expires_at - command.issued_at).total_seconds() == 120
    assert heard.expiry_s is not None and 60 <= heard.expiry_s <= 120
    assert heard.response_topic == there.gateway.topics.result
    assert heard.correlation == command.id.encode()
    there.answers = ("accepted", "failed")
    code, told = run(site, "command", "send", LOCK.name, "self_test", "--wait")
    assert (code, told.startswith("failed")) == (1, True), "whoever waits for a command learns that it failed"


def test_nothing_but_the_gateways_own_answer_counts(site: Site) -> None:
    there, log = site.there, site.sink
    command_id = site.send("reboot")
    wait_until(lambda: there.commands, 10, "the command")
    there.answer(command_id, "done", sig="A" * 86)
    there.answer(command_id, "done", kid="nobody")
    there.answer(command_id, "done", lock="1f00ff")
    there.answer("invented", "done")
    wait_until(lambda: log.log.count("an answer to a command isn't taken") == 2, 10, "two refusals")
    wait_until(lambda: log.log.count("a gateway answers to a command that it wasn't given") == 2, 10)
    assert site.state(command_id) is CommandState.SENT
    for outcome in ("accepted", "done", "done", "failed"):
        there.answer(command_id, outcome)
    wait_until(lambda: site.state(command_id) is CommandState.DONE, 10, "the outcome")
    last = site.send("self_test")
    wait_until(lambda: there.commands[-1].id == last, 10, "another command, by when all answers were taken")
    there.answer(last, "rejected", reason="no\0such test")
    wait_until(lambda: site.state(last) is CommandState.REJECTED, 10, "its outcome")
    assert site.answers(command_id) == ["accepted", "done"], "the first last word holds"


def test_an_access_list_is_what_the_gateway_is_told_and_finds_whenever_it_comes(site: Site) -> None:
    there, pseudonyms = site.there, load_pseudonyms(site.sink.directory / "pseudonym.key")
    site.ordering.add_transponders(UIDS, pseudonyms)
    first, second, last = ((pseudonyms.of(uid) or b"").hex() for uid in UIDS)
    entries = [
        ListedTransponder(first),
        ListedTransponder(second, service=True),
        ListedTransponder(last, blocked=True),
    ]
    effect = site.ordering.set_access_list(LOCK.name, entries, ANNA)
    desired = wait_until(lambda: there.desired, 10, "the desired state")[-1]
    wished = desired.locks[LOCK.name]
    assert wished.access_list_version == effect.version
    assert [(each.uid, each.service, each.blocked) for each in wished.access_list or ()] == [
        ("a1b2c3d", False, True), ("e004015000000001", False, False), ("e004015000000002", True, False),
    ]  # fmt: skip
    operations = Operations(site.url, now)
    operations.wish(SubjectKind.LOCK, LOCK.name, {"property": "enable_mask", "value": 1}, ANNA)
    operations.close()
    later = wait_until(lambda: there.desired[1:], 10, "the next revision")[-1]
    assert later.revision > desired.revision
    assert (later.locks[LOCK.name].enable_mask, later.locks[LOCK.name].access_list) == (1, wished.access_list)
    with OrderedGateway(site.port, FakeGateway("gw-0009"), LOCK) as comes_later:
        comes_later.listen(there.gateway.topics.desired)
        found = wait_until(lambda: comes_later.heard, 10, "what the broker keeps")[0]
    assert found.retained and found.is_signed_by(site.key.private.public_key())
    log = site.sink.log.lower()
    assert "a1b2c3d" not in log and "e0040150" not in log, "no transponder's number is in the log"


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_of_two_sinks_one_sends_and_one_takes_the_answer(site: Site, tmp_path: Path) -> None:
    os.link(site.sink.directory / "orders.pem", tmp_path / "orders.pem")
    second = 'client_id = "second"\n'
    gateway = site.there.gateway
    with SinkProcess(tmp_path, site.url, site.port, [gateway], mqtt=second, limits=_ORDERS):
        site.there.answers = ("accepted", "done")
        ids = [site.send("read_now") for _ in range(5)]
        wait_until(lambda: all(site.state(each) is CommandState.DONE for each in ids), 20, "all of them")
    assert sorted(each.id for each in site.there.commands) == sorted(ids)
    assert {each.attempt for each in site.there.commands} == {1}
    assert [site.answers(each) for each in ids] == [["accepted", "done"]] * 5
