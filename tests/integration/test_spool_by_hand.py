"""With a dead network pages go to the ledger on a stick, and its receipts come back on it; by the real commands."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from cloud_sink.cli import app as sink_app
from cloud_sink.keys import make_pseudonym_key
from cloud_sink.orders.signing_key import make_signing_key, public_text
from cloud_sink.reading import LedgerReader
from edge_agent.commands import app as agent_app
from edge_agent.spool_reader import SpoolReader
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import KEY, TOPICS, all_pages, keep_all, make_spool, opened, visit
from tests.unit.edge_agent.installation import Installation
from tests.unit.edge_agent.running_gateway import Gateway
from wastelock.page import SigningKey, to_base64url
from wastelock.signed_file import Receipts, read_file, seal_file


class Estate:
    """A gateway whose broker is out of reach, a cloud that knows its key, and a stick."""

    def __init__(self, directory: Path, order_key: SigningKey) -> None:
        self.key = order_key
        keys = f'orders = {{ keys = ["{public_text(order_key)}"] }}'
        self.bus_port = free_port()
        self.gateway = Installation(directory, free_port(), self.bus_port, more=keys)
        self.stick = directory / "stick"
        self.stick.mkdir()
        self.ledger = f"sqlite:///{directory / 'ledger.sqlite'}"
        self.sink = directory / "cloud-sink.toml"
        public = to_base64url(KEY.private.public_key().public_bytes_raw())
        (directory / "gateways.toml").write_text(
            f'[[gateways]]\nid = "{TOPICS.gateway}"\nsite = "{TOPICS.site}"\npublic_keys = ["{public}"]\n'
        )
        (directory / "lock-keys.csv").write_text("lock,from_epoch,key\n")
        make_pseudonym_key(directory / "pseudonym.key")
        self.sink.write_text(f'[ledger]\nurl = "{self.ledger}"\n[orders]\nsigning_key = "orders.pem"\n')

    def agent(self, command: str, *words: str) -> Result:
        return CliRunner().invoke(agent_app, ["spool", command, *words, "--config", str(self.gateway.config)])

    def cloud(self, *words: str) -> Result:
        return CliRunner().invoke(sink_app, ["import", *words, "--config", str(self.sink)])

    def receipts(self) -> Path:
        return next(self.stick.glob("*.wlreceipts"))

    def waiting(self) -> int:
        with closing(SpoolReader(self.gateway.spool)) as reader:
            return sum(reader.count_after(view.id, view.committed_through) for view in reader.journals())

    def journals(self) -> dict[str, str]:
        with closing(SpoolReader(self.gateway.spool)) as reader:
            return {view.uuid: view.state for view in reader.journals()}


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    key = make_signing_key(tmp_path / "orders.pem")
    yield Estate(tmp_path, key)


@pytest.fixture
def carried(estate: Estate) -> Estate:
    """Five pages were carried to the ledger, and its receipts lie on the stick."""
    estate.gateway.seal(1, 5)
    assert estate.agent("export", "--to", str(estate.stick), "--unreceived").exit_code == 0
    taken = estate.cloud(str(estate.stick))
    assert taken.exit_code == 0, taken.output
    return estate


def test_pages_go_to_the_ledger_on_a_stick_and_its_receipts_come_back(carried: Estate) -> None:
    reader = LedgerReader(carried.ledger)
    assert [entry.seq for entry in reader.all_entries()] == [1, 2, 3, 4, 5]
    reader.close()
    assert carried.waiting() == 5, "only the ledger's word frees the gateway of them"
    brought = carried.agent("import", str(carried.receipts()))
    assert brought.exit_code == 0, brought.output
    assert "the ledger has all up to page 5" in brought.output
    with Gateway(carried.gateway.spool, free_port(), keep_days=0).running() as running:
        wait_until(lambda: not all_pages(carried.gateway.spool), 10, "the pages to be pruned")
        assert running.forwarder.tally.receipts == 1
    assert not list(carried.gateway.spool.parent.glob("*receipts-*"))


def test_a_running_agent_takes_receipts_up_at_once(estate: Estate) -> None:
    with Gateway(estate.gateway.spool, free_port(), keep_days=14).running() as gateway:
        gateway.seal(1, 3)
        assert estate.agent("export", "--to", str(estate.stick)).exit_code == 0
        assert estate.cloud(str(estate.stick)).exit_code == 0
        assert estate.agent("import", str(estate.receipts())).exit_code == 0
        wait_until(lambda: estate.waiting() == 0, 10, "the receipts")
        assert len(all_pages(estate.gateway.spool)) == 3, "kept for a while"


def test_receipts_that_come_late_on_their_stick_take_nothing_back(estate: Estate) -> None:
    with Gateway(estate.gateway.spool, free_port(), keep_days=0).running() as gateway:
        late: list[Path] = []
        for first in (1, 4):
            gateway.seal(first, first + 2)
            assert estate.agent("export", "--to", str(estate.stick)).exit_code == 0
            newest = max(estate.stick.glob("*.wlpages"), key=lambda file: file.stat().st_mtime_ns)
            assert estate.cloud(str(newest)).exit_code == 0
            late.insert(0, newest.with_suffix(".wlreceipts"))
        for receipts, says in zip(late, ("up to page 6", "it changes nothing"), strict=True):
            brought = estate.agent("import", str(receipts))
            assert says in brought.output
            wait_until(lambda: not all_pages(estate.gateway.spool), 10, "the pages to be pruned")
            wait_until(lambda: not list(estate.stick.parent.glob("*receipts-*")), 10, "the receipts taken")
        assert gateway.alarms.texts() == ()
        assert list(estate.journals().values()) == ["active"]


def test_receipts_that_the_cloud_has_not_signed_for_this_gateway_are_not_believed(carried: Estate) -> None:
    file = carried.receipts()
    true = read_file(file.read_bytes(), "receipts")
    stranger = SigningKey(Ed25519PrivateKey.generate())
    body = Receipts.model_validate_json(true.body)
    other = body.model_copy(update={"gateway": "gw-0009"})
    less = true.body.replace('"committed_through":5', '"committed_through":4')
    wrong = {
        "isn't signed": seal_file("receipts", body, TOPICS.receipts_file, None),
        "isn't known here": seal_file("receipts", body, TOPICS.receipts_file, stranger),
        "doesn't hold": true.model_copy(update={"body": less}),
        "are for gateway gw-0009": seal_file("receipts", other, TOPICS.receipts_file, carried.key),
    }  # fmt: skip
    for said, forged in wrong.items():
        file.write_bytes(forged.to_json())
        result = carried.agent("import", str(file))
        assert result.exit_code == 1
        assert said in result.output
    assert not list(carried.gateway.spool.parent.glob("*receipts-*"))
    file.write_bytes(wrong["isn't signed"].to_json())
    assert carried.agent("import", str(file), "--unsigned").exit_code == 0, "on the technician's word"


def test_the_journal_of_an_old_card_goes_to_the_ledger_from_the_new_one(
    estate: Estate, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    old = Installation(card, free_port())
    old.seal(1, 30)
    archive = estate.stick / "old.wlpages"
    exported = CliRunner().invoke(
        agent_app, ["spool", "export", "--to", str(archive), "--config", str(old.config)]
    )
    assert exported.exit_code == 0, exported.output
    with Gateway(estate.gateway.spool, free_port()).running() as gateway:
        gateway.spool.seal(visit(seq=31))
        brought = estate.agent("import", str(archive))
        assert brought.exit_code == 0, brought.output
        wait_until(lambda: "retired" in estate.journals().values(), 10, "the old journal")
        wait_until(lambda: estate.waiting() == 31, 10, "its pages")
        assert gateway.alarms.texts() == ()
    assert json.loads(estate.agent("verify", "--json").stdout)["signatures"] == 31
    again = estate.agent("import", str(archive))
    assert again.exit_code == 0, "twice does no harm"
    assert estate.agent("export", "--to", str(estate.stick)).exit_code == 0
    assert len(list(estate.stick.glob("*.wlpages"))) == 2, "what lies there already isn't written again"
    taken = estate.cloud(str(estate.stick))
    assert "30 pages, 30 new" in taken.output
    assert "1 pages, 1 new" in taken.output


def test_an_old_cards_spool_is_taken_over_even_where_it_is_damaged(estate: Estate, tmp_path: Path) -> None:
    card = tmp_path / "card.db"
    with opened(make_spool(card)) as spool:
        for seq in range(1, 21):
            spool.seal(visit(seq=seq))
    connection = sqlite3.connect(card)
    connection.execute("UPDATE page SET payload = x'00' WHERE page = 7")
    connection.commit()
    connection.close()
    with Gateway(estate.gateway.spool, free_port()).running():
        brought = estate.agent("import", str(card))
        assert brought.exit_code == 0, brought.output
        wait_until(lambda: estate.waiting() == 19, 10, "what is whole in it")
        wait_until(lambda: not list(tmp_path.glob("spool.db.brought-*")), 10, "the copy to be gone")
    assert card.exists()


def test_a_copy_of_this_very_card_goes_to_the_cloud_instead(estate: Estate, tmp_path: Path) -> None:
    estate.gateway.seal(1, 3)
    copy = tmp_path / "copy.db"
    shutil.copy(estate.gateway.spool, copy)
    refused = estate.agent("import", str(copy))
    assert refused.exit_code == 1
    assert "a copy of this card: `edge-agent spool export --spool FILE --to DIR`" in refused.output
    exported = estate.agent("export", "--spool", str(copy), "--to", str(estate.stick))
    assert exported.exit_code == 0, exported.output
    assert "3 pages, 3 new" in estate.cloud(str(estate.stick)).output


def test_a_protocol_and_the_pages_of_its_pours_agree_in_the_ledger(estate: Estate) -> None:
    lock = Controller()
    for chamber in (1, 2):
        lock.pour(chamber=chamber)
    words = ["commission", "1f00a1", "--no-ask", "--pours", "1", "--out", str(estate.stick), "--wait", "0.01"]
    with TcpPeer({1: lock}, estate.bus_port):
        command = [*words, "--config", str(estate.gateway.config)]
        assert CliRunner().invoke(agent_app, command).exit_code == 1, "nobody pours"
        for chamber in (1, 2):
            lock.pour(chamber=chamber)
        opening = CliRunner().invoke(agent_app, [*command, "--anyway"])
    assert "NOT passed" in opening.output, "the pours came before the opening reading"
    keep_all(estate.gateway.spool, lock)
    assert estate.agent("export", "--to", str(estate.stick)).exit_code == 0
    taken = estate.cloud(str(estate.stick), "--json")
    assert taken.exit_code == 0, taken.output
    archive, *protocols = json.loads(taken.stdout)
    assert archive["new"] == 1
    assert [(each["passed"], each["agreeing"], each["differing"]) for each in protocols] == [
        (False, 4, [])
    ] * 2


def test_what_is_here_already_or_somebody_elses_is_not_taken(estate: Estate, tmp_path: Path) -> None:
    estate.gateway.seal(1, 3)
    archive = estate.stick / "own.wlpages"
    assert estate.agent("export", "--to", str(archive)).exit_code == 0
    for file, said in (
        (archive, "they are here already"),
        (estate.gateway.spool, "is the spool in use"),
        (estate.sink, "isn't a file of receipts"),
        (tmp_path / "away", "is the stick mounted"),
    ):
        result = estate.agent("import", str(file))
        assert result.exit_code == 1
        assert said in result.output
    shutil.copy(archive, tmp_path / "cut.wlpages")
    cut = tmp_path / "cut.wlpages"
    cut.write_bytes(cut.read_bytes()[:-500])
    assert "cut off" in estate.agent("import", str(cut)).output
