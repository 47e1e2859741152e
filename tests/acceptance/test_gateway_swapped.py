"""A gateway dies with its disk and another one takes its place: the rings still have what the ledger lacks."""

import signal

from demo.keys import new_signing_key, public_key, write_private
from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.ledger import journals, quarantine
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.support.waiting import wait_until


def test_swapped_gateway_recovers_what_died_with_the_old_one(start_chain: StartChain) -> None:
    chain = start_chain(settings=Settings(poll_interval_s=0.1, sink=QUICK_SINK))
    chain.wait_equal(60)
    chain.broker.stop()
    pour(chain, 12)
    chain.wait_drained(60)
    chain.agent.kill()  # twelve pours were on its disk only, and nobody sees that disk again

    key = new_signing_key()
    write_private(chain.layout.directory / "new-gateway.pem", key)
    old = public_key(chain.layout.signing_key.read_bytes())
    chain.layout.write_gateways({chain.layout.estate.gateway: [old], "gw-0008": [public_key(key)]})
    chain.sink.send(signal.SIGHUP)
    chain.layout.write_agent_config(
        Settings(
            poll_interval_s=0.1,
            agent={
                "gateway": {"id": "gw-0008", "signing_key": "new-gateway.pem"},
                "spool": {"path": "new-spool.db"},
            },
        )
    )
    chain.start_broker()
    chain.agent.start()
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=15)
    assert {gateway for gateway, _ in journals(chain).values()} == {"gw-0007", "gw-0008"}


def test_gateway_that_the_ledger_does_not_know_yet_is_heard_once_it_is_registered(
    start_chain: StartChain,
) -> None:
    chain = start_chain(
        settings=Settings(poll_interval_s=0.1, sink=QUICK_SINK), leave_out=("cloud-sink",), backlog_days=1
    )
    chain.layout.write_gateways({"gw-0001": [public_key(new_signing_key())]})
    chain.sink.start()
    wait_until(lambda: quarantine(chain), 60, "pages in quarantine")
    chain.wait_drained(60)
    assert chain.ledger() == []
    chain.layout.write_gateways(
        {chain.layout.estate.gateway: [public_key(chain.layout.signing_key.read_bytes())]}
    )
    chain.sink.send(signal.SIGHUP)
    wait_until(lambda: "keys reloaded" in chain.sink.log_tail(), 60, "the keys to be read again")
    chain.ask_sink("reprocess")
    pour(chain, 3)
    assert_ledger_is_truth(chain, at_least=10)
