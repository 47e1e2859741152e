"""Nothing grows without bound: queries by locks or by history, tables by age."""

from datetime import timedelta

from cloud_sink.projections.twins import tables as t
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from wastelock.record import Kind

FLEET_MOST, LOCK_MOST = 26, 40


def queries_of_the_fleet(rig: TwinRig) -> list[int]:
    counts = []
    for ask in (
        lambda: rig.reader.fleet(limit=500),
        rig.reader.counts,
        rig.reader.sites,
        rig.reader.gateways,
    ):
        with rig.counting_queries() as sent:
            ask()
        counts.append(len(sent))
    return counts


def test_the_fleet_takes_as_many_queries_for_300_locks_as_for_3(any_rig: TwinRig) -> None:
    rig = any_rig
    gateways = [FakeGateway(f"gw-{number:04d}", seed=number + 1) for number in range(10)]
    locks = [FakeLock(0x200000 + number) for number in range(300)]

    def hear(some: list[FakeLock]) -> None:
        for number, lock in enumerate(some):
            rig.hear_lock(lock, gateways[number % 10], faults=("door_open",) if number % 7 else ())
        rig.look()

    hear(locks[:3])
    few = queries_of_the_fleet(rig)
    hear(locks[3:])
    assert len(rig.reader.fleet(limit=500)) == 300
    assert queries_of_the_fleet(rig) == few
    assert max(few) <= FLEET_MOST


def test_a_locks_page_takes_as_many_queries_after_a_long_history_as_after_a_short_one(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig

    def live(days: int) -> None:
        for day in range(days):
            mark = lock.page_record(lock.record(kind=Kind.EMPTYING, chamber=0))
            kind = (Kind.FAULT_RAISED, Kind.FAULT_CLEARED)[day % 2]
            fault = lock.page_record(lock.record(kind=kind, chamber=0, duration_ds=3))
            rig.ledger.take(gateway.seal([*lock.pours(5), mark, fault]))
            rig.clock.go_on(days=1)
            rig.hear_lock(lock, gateway, fill_permille=day, faults=("door_open",) if day % 2 else ())
        rig.catch_up()

    def ask() -> list[int]:
        counts = []
        for at in (None, rig.clock.at - timedelta(hours=1)):
            with rig.counting_queries() as sent:
                assert rig.reader.lock(lock.name, at) is not None
            counts.append(len(sent))
        return counts

    live(2)
    short = ask()
    live(30)
    assert ask() == short
    assert max(short) <= LOCK_MOST
    twin = rig.reader.lock(lock.name)
    assert twin is not None
    assert len(twin.balances) == 12


def test_what_is_too_old_is_given_up_and_the_present_stays(
    any_rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = any_rig
    rig.hear_lock(lock, gateway, fill_permille=100, faults=("door_open",))
    rig.operations.move(lock.name, "maintenance", TECHNICIAN)
    rig.catch_up()
    before = rig.twin(lock)
    rig.clock.go_on(days=rig.thresholds.history_days + 1)
    rig.hear_lock(lock, gateway, fill_permille=300, faults=("door_open",))
    rig.catch_up()
    assert {row[4] for row in rig.rows(t.changes)} | {row[1] for row in rig.rows(t.heard)} == {
        int(rig.clock.at.timestamp() * 1000)
    }
    assert len(rig.rows(t.fill)) == 1
    now = rig.twin(lock)
    assert (now.summary.lifecycle, now.faults) == (before.summary.lifecycle, before.faults)
    assert rig.twin(lock, START + timedelta(hours=1)).reported is None, "its state of then is given up"
    kept = rig.projection.digest()
    rig.projection.prepare(anew=True)
    rig.catch_up()
    assert rig.projection.digest() == kept
