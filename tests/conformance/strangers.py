"""Who isn't who he should be: other controllers, other devices or nobody where a lock is configured; and exchanges."""

from dataclasses import replace

from tests.conformance.estate import Estate, Lock, place_table
from tests.conformance.vendor.traits import draw_serial
from tests.conformance.vendor.unit import OtherDevice


def add_strangers(estate: Estate) -> None:
    """Put one of each kind somewhere."""
    rng = estate.rng
    estate.add_lock(rng.choice(estate.buses), stranger="has another serial number", serial=draw_serial(rng))
    version = rng.choice((0, 2, 0xFFFF))
    estate.add_lock(rng.choice(estate.buses), stranger="speaks another version of the map", version=version)
    twin_of = rng.choice(estate.good_locks).controller.traits.serial
    estate.add_lock(
        rng.choice(estate.buses), stranger="has the serial number of another lock", serial=twin_of
    )
    _add_other(estate, is_there=True)
    _add_other(estate, is_there=False)


def put_right(estate: Estate, stranger: Lock) -> None:
    """A technician came: the configured controller answers at this address now."""
    traits = replace(estate.draw_traits(), serial=stranger.configured_serial)
    with estate.world:
        lock = estate.make_lock(stranger.bus, stranger.unit, traits, stranger.configured_serial)
        estate.locks[estate.locks.index(stranger)] = lock
        estate.past.append(stranger)


def exchange(estate: Estate, lock: Lock) -> Lock:
    """Put another controller where this lock was; `estate.connect(lock)` brings it back."""
    traits = estate.draw_traits()
    with estate.world:
        other = estate.make_lock(lock.bus, lock.unit, traits, traits.serial, "is there by mistake")
        estate.past.append(other)
    return other


def _add_other(estate: Estate, *, is_there: bool) -> None:
    bus = estate.rng.choice(estate.buses)
    unit, serial = estate.free_unit(bus), estate.draw_traits().serial
    estate.others[serial] = None
    if is_there:
        other = OtherDevice(f"meter at unit {unit} of {bus.name}", estate.rng)
        bus.units[unit] = estate.others[serial] = other
    else:
        bus.absent.add(unit)
    estate.other_places.append(place_table(serial, bus, unit))
