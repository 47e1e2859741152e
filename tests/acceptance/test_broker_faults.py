"""The broker is a wire, never a store: whatever it loses, and however the network fails, the pages come again."""

import shutil

import pytest

from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.acceptance.proxy import Link
from tests.support.waiting import wait_until

QUICK = Settings(poll_interval_s=0.1, sink=QUICK_SINK)


def test_pours_made_during_a_broker_outage_arrive_after_it(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK)
    chain.wait_equal(60)
    chain.broker.stop()
    before = len(chain.ledger())
    pour(chain, 30)
    chain.wait_drained(60)  # the gateway confirms without the cloud: the pours are on its disk
    assert len(chain.ledger()) == before
    chain.start_broker()
    assert_ledger_is_truth(chain, at_least=before + 30)


def test_broker_that_loses_all_it_had_costs_nothing(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK)
    chain.wait_equal(60)
    chain.sink.pause()  # what is published now stays in the broker
    pour(chain, 30)
    chain.wait_drained(60)
    chain.broker.kill()
    for kept in chain.layout.broker_config.parent.glob("*.db"):
        kept.unlink()
    chain.start_broker()
    chain.sink.resume()
    assert_ledger_is_truth(chain, at_least=30)


def test_broker_that_drops_in_silence_delays_pages_but_loses_none(start_chain: StartChain) -> None:
    # Mosquitto's defaults in small: they drop even acknowledged messages beyond 20 in flight and 1,000 queued.
    drops = ("max_inflight_messages 10", "max_queued_messages 2")
    sink = {"limits": {**QUICK_SINK["limits"], "receive_maximum": 10}}
    settings = Settings(poll_interval_s=0.1, sink=sink, broker_settings=drops)
    chain = start_chain(settings=settings)
    chain.wait_equal(60)
    for _ in range(2):
        chain.sink.pause()
        for _ in range(6):  # three pages each, one for every lock
            pour(chain, 3)
            chain.wait_drained(60)
        chain.sink.resume()
        chain.wait_equal(60)
    assert_ledger_is_truth(chain, at_least=36)
    assert "being dropped" in chain.broker.log.read_text(), "the broker dropped nothing: this proves nothing"


@pytest.mark.parametrize("side", ["gateway", "sink"])
@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_link_to_the_broker_fails_and_heals(start_chain: StartChain, side: str, how: str) -> None:
    chain = start_chain(settings=QUICK)
    with Link(chain.layout.broker_port) as link:
        child, write = {
            "gateway": (chain.agent, chain.layout.write_agent_config),
            "sink": (chain.sink, chain.layout.write_sink_config),
        }[side]
        child.stop()
        write(QUICK, broker_port=link.port)
        child.start()
        chain.wait_equal(60)
        for _ in range(2):
            (link.cut if how == "cut" else link.stall)()
            pour(chain, 15)
            chain.wait_drained(60)
            link.heal()
            pour(chain, 6)
        assert_ledger_is_truth(chain, at_least=42)
        chain.stop()


def test_sink_that_was_away_gets_everything_though_the_broker_forgot_its_session(
    start_chain: StartChain,
) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK)
    chain.wait_equal(60)
    chain.sink.stop()
    pour(chain, 10)
    chain.wait_drained(60)
    chain.broker.stop()
    shutil.rmtree(chain.layout.broker_config.parent)
    chain.layout.broker_config.parent.mkdir()
    chain.layout.write_broker_config(QUICK)
    chain.start_broker()
    pour(chain, 10)
    wait_until(lambda: chain.unconfirmed() == 0, 60, "the pours to be on the gateway's disk")
    chain.sink.start()
    assert_ledger_is_truth(chain, at_least=20)
