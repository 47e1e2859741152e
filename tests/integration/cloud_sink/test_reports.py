"""What gateways report, from a real broker into observations: at once, once, and as it was."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cloud_sink.ledger.database import Database
from cloud_sink.ledger.observations import Hearing, Observation, ReportKind, hearings_of, observations_after
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.mqtt import TestClient
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until
from wastelock.messages import GatewayState, LockState, Telemetry


class Witness:
    """Reads the ledger that a sink writes."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, read_only=True)

    def kept(self, kind: ReportKind | None = None) -> list[Observation]:
        with self._database.reading() as connection:
            found = observations_after(connection, 0, 1000)
        assert [each.observation_no for each in found] == list(range(1, len(found) + 1))
        return [each for each in found if kind in (None, each.kind)]

    def heard(self) -> dict[ReportKind, Hearing]:
        with self._database.reading() as connection:
            return {each.kind: each for each in hearings_of(connection)}

    def close(self) -> None:
        self._database.close()


class Reporter:
    """Publishes as a gateway's agent does."""

    def __init__(self, client: TestClient, gateway: FakeGateway, lock: FakeLock) -> None:
        self._client, self._gateway, self._lock = client, gateway, lock

    def tell_lock(self, faults: tuple[str, ...] = (), seq: int = 1) -> LockState:
        state = LockState(
            lock=self._lock.name, driver="wlc-1", at=now(), reachable=True, faults=faults, newest_seq=seq
        )
        self._client.publish(self._gateway.topics.lock_state(self._lock.name), state.to_json(), retain=True)
        return state

    def tell_gateway(self, online: bool = True) -> None:
        state = GatewayState(gateway="gw-0001", online=online, incarnation=1, at=now() if online else None)
        self._client.publish(self._gateway.topics.gateway_state, state.to_json(), retain=True)

    def tell_telemetry(self) -> None:
        telemetry = Telemetry(
            gateway="gw-0001", at=now(), spool_bytes=1, spool_pages=1, unsent_pages=0, clock="ntp"
        )
        self._client.publish(self._gateway.topics.telemetry, telemetry.to_json(), qos=0)


def now() -> datetime:
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)  # as a message has it


@contextmanager
def reporting(
    broker: Broker, url: str, gateway: FakeGateway, lock: FakeLock
) -> Iterator[tuple[Reporter, Witness]]:
    with TestClient(broker.port, "agent") as client, closing(Witness(url)) as witness:
        yield Reporter(client, gateway, lock), witness


def test_states_and_telemetry_are_kept_and_what_does_not_matter_is_only_heard(
    tmp_path: Path, ledger_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    with (
        SinkProcess(tmp_path / "sink", ledger_url, broker.port, [gateway], [lock]) as sink,
        reporting(broker, ledger_url, gateway, lock) as (agent, witness),
    ):
        agent.tell_gateway()
        agent.tell_telemetry()
        # Within one turn of the sink's: none of them is lost by the one after it.
        changes: list[tuple[str, ...]] = [(), ("tamper",), (), ("flap_open",)]
        states = [agent.tell_lock(faults) for faults in changes]
        wait_until(lambda: len(witness.kept()) == 6, 20, lambda: f"six observations: {witness.kept()}")
        assert [each.state for each in witness.kept(ReportKind.LOCK)] == states
        last = agent.tell_lock(("flap_open",), seq=2)
        agent.tell_gateway(online=False)
        wait_until(lambda: len(witness.kept()) == 7, 20, "the gateway's farewell")
        heard = witness.heard()
        assert heard[ReportKind.LOCK].state == last
        assert witness.kept(ReportKind.GATEWAY)[-1].heard_before_at is not None
        assert abs((heard[ReportKind.TELEMETRY].heard_at - now()).total_seconds()) < 600
        sink.stop()
        sink.start()
        agent.tell_lock(("flap_open", "tamper"), seq=2)
        wait_until(lambda: len(witness.kept()) == 8, 20, "what came after the restart")
        assert len(witness.kept(ReportKind.GATEWAY)) == 2, "what the broker had kept was known"


def test_two_sinks_keep_once_what_both_hear(
    tmp_path: Path, postgres_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    def start(name: str) -> SinkProcess:
        mqtt = f'share_group = "sinks"\nclient_id = "{name}"'
        return SinkProcess(tmp_path / name, postgres_url, broker.port, [gateway], [lock], mqtt)

    with (
        start("one") as one,
        start("two"),
        reporting(broker, postgres_url, gateway, lock) as (agent, witness),
    ):
        agent.tell_gateway()
        for number in range(8):
            state = agent.tell_lock(("tamper",) if number % 2 else ())
            wait_until(
                lambda state=state: (
                    witness.heard().get(ReportKind.LOCK) is not None  # type: ignore[misc]
                    and witness.heard()[ReportKind.LOCK].state == state
                ),
                20,
                "the state to be heard",
            )
        one.kill()
        state = agent.tell_lock(("container_full",))
        one.start()
        wait_until(lambda: witness.heard()[ReportKind.LOCK].state == state, 20, "the other one to hear it")
        agent.tell_telemetry()
        wait_until(lambda: witness.kept(ReportKind.TELEMETRY), 20, "telemetry, after all that")
        assert len(witness.kept(ReportKind.LOCK)) == 9
        assert len(witness.kept(ReportKind.GATEWAY)) == 1
        assert len(witness.kept(ReportKind.TELEMETRY)) == 1
