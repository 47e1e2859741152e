"""The ledger's database goes away and comes back; several sinks share one ledger. The pages wait, none counts twice."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from demo.layout import Settings
from demo.process import Child
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour, restart
from tests.acceptance.oracle import assert_ledger_is_truth, assert_ledger_sees_no_fault
from tests.support.postgres import Postgres


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that this test may stop."""
    with Postgres() as server:
        yield server


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_postgres_away_for_a_while(start_chain: StartChain, own_postgres: Postgres, how: str) -> None:
    ledger = {"ledger": {"url": own_postgres.create_database()}, **QUICK_SINK}
    chain = start_chain(settings=Settings(poll_interval_s=0.1, sink=ledger))
    chain.wait_equal(60)
    for _ in range(2):
        own_postgres.stop() if how == "stopped" else own_postgres.kill()
        pour(chain, 9)
        chain.wait_drained(60)
        own_postgres.start()
        pour(chain, 3)
        chain.wait_equal(60)
    assert_ledger_is_truth(chain, at_least=24)
    assert_ledger_sees_no_fault(chain)
    assert chain.sink.running


def test_sink_starts_before_its_database_does(start_chain: StartChain, own_postgres: Postgres) -> None:
    ledger = {"ledger": {"url": own_postgres.create_database()}, **QUICK_SINK}
    own_postgres.stop()
    chain = start_chain(settings=Settings(poll_interval_s=0.1, sink=ledger))
    pour(chain, 6)
    chain.wait_drained(60)
    own_postgres.start()
    if not chain.sink.running:  # a service manager starts it again
        restart(chain.sink)
    assert_ledger_is_truth(chain, at_least=6)


def test_two_sinks_share_the_pages_and_either_may_die(start_chain: StartChain, postgres_url: str) -> None:
    def sink_settings(name: str) -> Settings:
        mqtt = {"client_id": name, "share_group": "sinks"}
        return Settings(
            poll_interval_s=0.1, sink={"ledger": {"url": postgres_url}, "mqtt": mqtt, **QUICK_SINK}
        )

    chain = start_chain(settings=sink_settings("sink-1"))
    config = chain.layout.sink_config
    second_config = config.with_name("sink-2.toml")
    first = config.read_text()
    second_config.write_text(first.replace("sink-1", "sink-2"))
    command = [*chain.sink.command[:-1], str(second_config)]
    second = Child("second-sink", command, chain.layout.logs)
    second.start()
    try:
        chain.wait_equal(60)
        rng = Random(3)
        for _ in range(4):
            pour(chain, 6)
            victim = rng.choice([chain.sink, second])
            victim.kill()
            pour(chain, 6)
            victim.start()
        assert_ledger_is_truth(chain, at_least=48)
        assert_ledger_sees_no_fault(chain)
    finally:
        second.kill()


def test_sqlite_ledger_locked_by_somebody_else(start_chain: StartChain) -> None:
    chain = start_chain(settings=Settings(poll_interval_s=0.1, sink=QUICK_SINK))
    chain.wait_equal(60)
    with closing(sqlite3.connect(chain.layout.directory / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        pour(chain, 12)
        chain.wait_drained(60)
        other.execute("ROLLBACK")
    assert_ledger_is_truth(chain, at_least=12)
