"""One bad lock never stops the others: wrong serial number, unknown map, a dead line, an unreadable record."""

from demo.chain import Chain
from demo.compare import compare, event_of
from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.ports import free_port
from tests.support.waiting import wait_until

QUICK = Settings(poll_interval_s=0.1, sink=QUICK_SINK)


class NewMap(Controller):
    """A controller of a map version that nobody here knows."""

    def _identity(self) -> tuple[int, ...]:
        magic, _version, *rest = super()._identity()
        return (magic, 2, *rest)


def test_wrong_serial_number_at_an_address_holds_up_nobody_else(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK)
    chain.wait_equal(60)
    chain.agent.stop()
    config = chain.layout.agent_config
    right = config.read_text()
    config.write_text(right.replace("2b0001", "2b0099"))  # the plate was read wrongly
    chain.agent.start()
    pour(chain, 9)
    wait_for_locks(chain, {"2b0002", "2b0003"})
    assert not [line for line in chain.ledger() if line["lock"] == "2b0099"]
    assert chain.agent.running
    assert "2b0001" in chain.ask_agent("status") + chain.agent.log_tail(), "nobody is told who answered"
    chain.agent.stop()
    config.write_text(right)
    chain.agent.start()
    assert_ledger_is_truth(chain, at_least=9)


def test_unknown_map_and_dead_line_hold_up_nobody_else(start_chain: StartChain) -> None:
    chain = start_chain(settings=QUICK)
    chain.wait_equal(60)
    port = free_port()
    peer = TcpPeer({1: NewMap(serial=0x99)}, port)
    peer.start()
    try:
        chain.agent.stop()
        config = chain.layout.agent_config
        config.write_text(
            config.read_text()
            + f'\n[[buses]]\nname = "new"\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\n'
            + f'\n[[buses]]\nname = "dead"\nkind = "tcp"\nhost = "127.0.0.1"\nport = {free_port()}\n'
            + '\n[[locks]]\nserial = "99"\nbus = "new"\nunit = 1\npoll_interval_s = 0.1\n'
            + '\n[[locks]]\nserial = "98"\nbus = "dead"\nunit = 1\npoll_interval_s = 0.1\n'
            + '\n[[locks]]\nserial = "97"\nbus = "tower"\nunit = 99\npoll_interval_s = 0.1\n'
        )
        chain.agent.start()
        pour(chain, 9)
        assert_ledger_is_truth(chain, at_least=9)
        wait_until(lambda: "map version is 2" in chain.agent.log.read_text(), 60, "the map to be told of")
        assert chain.agent.running
    finally:
        peer.stop()


def test_record_that_never_reads_well_is_kept_as_it_is_and_blocks_nothing(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, backlog_days=1)
    chain.wait_equal(60)
    lock = chain.layout.estate.locks[0].name
    seq = int(chain.rings()[lock]["newest"]) + 1
    chain.control.do(
        "torn_record", lock=lock, seq="next", word=13
    )  # the duration: nothing that is charged by
    chain.control.do("pour", lock=lock, chamber=1, instant=True)
    pour(chain, 6)
    other = chain.layout.estate.locks[1].name
    wait_for_locks(chain, {other})  # while the bad record is read again and again
    assert_ledger_is_truth(chain, at_least=7)
    unverified = [event_of(line) for line in chain.ledger() if line["unverified"]]
    assert unverified == [(lock, 1, seq)]


def wait_for_locks(chain: Chain, locks: set[str]) -> None:
    """Wait until the ledger has all that these locks recorded, whatever the others do."""

    def arrived() -> bool:
        truth = [line for line in chain.truth() if line["lock"] in locks]
        entries = [line for line in chain.ledger() if line["lock"] in locks]
        return compare(truth, entries, chain.layout.pseudonym_key).equal

    wait_until(arrived, 60, "the good locks' records")
