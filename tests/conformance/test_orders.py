"""Orders by the agent's own driver to the second vendor's controllers: done exactly, or refused by name."""

import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest

from edge_agent.bus import Bus
from edge_agent.drivers.base import ListEntry
from edge_agent.drivers.wlc_1 import Wlc1Driver
from edge_agent.errors import NotSupported, Refused
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from tests.conformance.vendor.conduct import Conduct
from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.life import Life
from tests.conformance.vendor.manners import Fault, Manners
from tests.conformance.vendor.registers import COMMAND, MASK, Registers
from tests.conformance.vendor.rtu import BAUDRATE, RtuBus
from tests.conformance.vendor.tcp import TcpBus
from tests.conformance.vendor.traits import draw_traits
from tests.conformance.vendor.unit import LockUnit
from wastelock.registers import CommandCode

ALL_CAPABILITIES = 0x1F
OK, REFUSED, FAILED = 0, 1, 2
UNIT = 247


@dataclass
class Order:
    """The agent's driver on one side, the vendor's controller on the other."""

    device: Controller
    bus: RtuBus | TcpBus
    driver: Wlc1Driver
    world: threading.RLock


@pytest.fixture(params=["tcp", "rtu"])
def order(request: pytest.FixtureRequest) -> Iterator[Order]:
    traits = replace(draw_traits(Random(5)), capabilities=ALL_CAPABILITIES, access_limit=100, chambers=2)
    device, world = Controller(traits, Random(5), time.time), threading.RLock()
    device.confirm(device.journal.newest, elsewhere=True)
    conduct = Conduct("lock", device, lambda *_: None, time.monotonic, 30)
    manners = Manners(Random(5), slow=0.1, mute=0.0)
    bus: RtuBus | TcpBus
    line: RtuLine | TcpLine
    if request.param == "tcp":
        bus = TcpBus("tcp", world, Random(5), manners)
        line = TcpLine("127.0.0.1", bus.port, 0.3)
    else:
        bus = RtuBus("rtu", world, Random(5), manners, 0.3)
        line = RtuLine(SerialSettings(bus.device, BAUDRATE, "N", 2), 0.3)
    bus.units[UNIT] = LockUnit(Registers(device), conduct, lambda _: None)
    bus.start()
    ours = Bus(bus.name, line)
    yield Order(device, bus, Wlc1Driver(ours.unit(UNIT), traits.serial), world)
    ours.close()
    bus.close()


def entries(count: int) -> list[ListEntry]:
    return [ListEntry(1000 + number, number % 3 == 0, number % 5 == 0) for number in range(count)]


def in_force(order: Order) -> tuple[int, int, int]:
    access = order.device.access
    return access.version, len(access.entries), access.check


@pytest.mark.parametrize("count", [0, 1, 24, 25, 100])
def test_access_list_is_in_force_as_it_was_ordered(order: Order, count: int) -> None:
    order.driver.write_access_list(7, entries(count))
    packed = b"".join(
        (entry.service | entry.blocked << 1).to_bytes(2, "big") + entry.uid.to_bytes(8, "big")
        for entry in entries(count)
    )
    assert in_force(order) == (7, count, zlib.crc32(packed))


def test_access_list_may_be_ordered_again(order: Order) -> None:
    for _ in range(2):
        order.driver.write_access_list(7, entries(3))
    assert in_force(order)[:2] == (7, 3)


def test_same_version_with_other_entries_is_refused_and_the_list_stays(order: Order) -> None:
    order.driver.write_access_list(7, entries(3))
    before = in_force(order)
    with pytest.raises(Refused):
        order.driver.write_access_list(7, entries(4))
    assert in_force(order) == before


def test_access_list_survives_lost_and_late_answers(order: Order) -> None:
    order.bus.faults.arm(Fault("mute", writes=True), Fault("late", writes=True))
    order.driver.write_access_list(8, entries(60))
    assert in_force(order)[:2] == (8, 60)


def test_power_cut_between_begin_and_commit_leaves_the_list_in_force(order: Order) -> None:
    order.driver.write_access_list(7, entries(3))
    before, stage = in_force(order), order.device.access.stage

    def stage_then_cut(offset: int, data: bytes) -> int:
        code = stage(offset, data)
        order.device.power_up()
        return code

    order.device.access.stage = stage_then_cut  # type: ignore[method-assign]
    with pytest.raises(Refused):
        order.driver.write_access_list(8, entries(30))
    assert in_force(order) == before


def test_too_long_a_list_never_reaches_the_controller(order: Order) -> None:
    with pytest.raises(NotSupported):
        order.driver.write_access_list(7, entries(101))
    assert in_force(order) == (0, 0, 0)


def test_chambers_are_enabled_though_the_answer_got_lost(order: Order) -> None:
    order.bus.faults.arm(Fault("mute", address=MASK, writes=True))
    order.driver.enable_chambers(0b01)
    assert order.device.enabled == 0b01


def test_chamber_that_is_not_there_cannot_be_enabled(order: Order) -> None:
    with pytest.raises(NotSupported):
        order.driver.enable_chambers(0b100)
    assert order.device.enabled == 0b11


def test_self_test_is_waited_for(order: Order) -> None:
    assert order.driver.run_command(77, CommandCode.SELF_TEST, 5.0) == OK


def test_power_cut_during_a_command_is_its_failure(order: Order) -> None:
    give = order.device.commands.give

    def give_then_cut(token: int, command: int) -> int:
        code = give(token, command)
        order.device.power_up()
        return code

    order.device.commands.give = give_then_cut  # type: ignore[method-assign]
    assert order.driver.run_command(78, CommandCode.SELF_TEST, 5.0) == FAILED


def test_reboot_answers_first_and_happens_once_however_often_it_is_sent(order: Order) -> None:
    order.bus.faults.arm(Fault("mute", times=2, address=COMMAND, writes=True))
    boot = order.device.boot
    assert order.driver.run_command(79, CommandCode.REBOOT, 10.0) == OK
    assert order.device.boot == (boot + 1) & 0xFFFF


def test_reboot_in_mid_cycle_is_refused(order: Order) -> None:
    with order.world:
        Life(order.device, Random(1)).finish()
        assert order.device.open(1, 5)
    assert order.driver.run_command(80, CommandCode.REBOOT, 5.0) == REFUSED


def test_clock_is_set_and_read_back(order: Order) -> None:
    with order.world:
        order.device.clock.lose()
    status = order.driver.set_clock(int(time.time()))
    assert status.clock_status == 1
    assert abs(order.device.clock.error_s) < 3


def test_clock_without_room_for_its_record_is_refused(order: Order) -> None:
    with order.world:
        life = Life(order.device, Random(1))
        life.pour(3000)
        while order.device.note(3):
            continue
        order.device.clock.lose()
    with pytest.raises(Refused) as refused:
        order.driver.set_clock(int(time.time()))
    assert refused.value.code == 4
