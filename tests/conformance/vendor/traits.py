"""What the map leaves to whoever builds a controller, drawn at random: no two of ours are alike."""

from dataclasses import dataclass, replace
from random import Random

LAST_SEQ = 0xFFFF_FFFF
LAST_EPOCH = 0xFFFF_FFFF

MAC, WEIGHT, ACCESS_LIST, FILL, REMOTE_ENABLE = 1, 2, 4, 8, 16


@dataclass(frozen=True)
class Traits:
    """One make of controller. `clock_error_s` is its clock minus the true time when it is first switched on."""

    serial: int
    model: int
    hardware: int
    firmware: int
    chambers: int
    capabilities: int
    capacity: int
    volumes: tuple[int, int, int, int]
    access_limit: int
    key: bytes | None
    key_id: int
    epoch: int
    newest: int
    confirmed: int
    registers: tuple[int, int, int, int]
    boot: int
    clock_status: int
    clock_error_s: int
    clock_survives_power_cut: bool
    shows_uptime_when_lost: bool
    reports_at_once: bool
    odd_records: bool
    odd_bits: bool


def draw_traits(rng: Random, serial: int | None = None) -> Traits:
    """Return a make of controller that the map allows."""
    chambers = rng.randint(1, 4)
    capacity = rng.choice((32, 32, 33, 47, 64, 100, 255, 256, 1000, 2046, 2047, rng.randint(32, 2047)))
    odd_bits = rng.random() < 0.3
    capabilities = rng.randrange(32) | (rng.randrange(1 << 11) << 5 if odd_bits else 0)
    newest, confirmed = _draw_journal(rng, capacity)
    with_key = bool(capabilities & MAC)
    return Traits(
        serial=draw_serial(rng) if serial is None else serial,
        model=rng.choice((0, 1, 0xBEEF, 0xFFFF)),
        hardware=rng.randrange(0x10000),
        firmware=rng.randrange(1 << 32),
        chambers=chambers,
        capabilities=capabilities,
        capacity=capacity,
        volumes=_draw_volumes(rng, chambers),
        access_limit=rng.randint(1, 2048) if capabilities & ACCESS_LIST else 0,
        key=rng.randbytes(16) if with_key else None,
        key_id=rng.randint(1, LAST_EPOCH) if with_key else 0,
        epoch=rng.choice((1, 2, 7, 65_535, 65_536, rng.randint(1, 1 << 31), LAST_EPOCH - 100_000)),
        newest=newest,
        confirmed=confirmed,
        registers=_draw_registers(rng),
        boot=rng.choice((0, 1, 65_534, 65_535, rng.randrange(65_536))),
        clock_status=rng.choice((0, 1, 1, 1, 2)),
        clock_error_s=rng.choice((0, 0, 1, -1, 30, -3600, 86_400 * 400, -1_500_000_000)),
        clock_survives_power_cut=rng.random() < 0.6,
        shows_uptime_when_lost=rng.random() < 0.5,
        reports_at_once=rng.random() < 0.7,
        odd_records=rng.random() < 0.6,
        odd_bits=odd_bits,
    )


def draw_serial(rng: Random) -> int:
    """Return a serial number: small, usual, or one that needs all 64 bits."""
    return rng.choice((rng.randint(1, 99), rng.getrandbits(24) | 1 << 23, rng.getrandbits(64) | 1 << 63))


def draw_next_epoch(rng: Random, traits: Traits, epoch: int) -> tuple[Traits, int]:
    """Return traits and number of an epoch that follows: the key and the ring's size may change with it."""
    changed = replace(traits, capacity=rng.choice((traits.capacity, 32, 50, 2047)), newest=0, confirmed=0)
    if traits.key is not None and rng.random() < 0.5:
        changed = replace(changed, key=rng.randbytes(16), key_id=rng.randint(1, LAST_EPOCH))
    return changed, min(LAST_EPOCH, epoch + rng.choice((1, 2, 1000, rng.randint(1, 1 << 16))))


def _draw_journal(rng: Random, capacity: int) -> tuple[int, int]:
    """Return newest and confirmed: a fresh journal, one in the midst of its life, or one near its last number."""
    newest = rng.choice((0, 0, 3, capacity - 1, capacity, capacity + 1, rng.randint(1, 1 << 20), 1 << 31))
    if rng.random() < 0.12:
        newest = LAST_SEQ - rng.randint(30, 400)
    unconfirmed = min(
        newest, rng.choice((0, 1, 5, 6, capacity // 2, capacity - 12, rng.randint(0, capacity)))
    )
    return newest, newest - unconfirmed


def _draw_volumes(rng: Random, chambers: int) -> tuple[int, int, int, int]:
    first, second, third, fourth = (
        rng.choice((5_000, 20_000, 1, 65_535, rng.randint(1, 65_535))) if number < chambers else 0
        for number in range(4)
    )
    return first, second, third, fourth


def _draw_registers(rng: Random) -> tuple[int, int, int, int]:
    first, second, third, fourth = (
        rng.choice((0, 1, rng.randrange(1 << 20), 0xFFFF_FFFF, 0xFFFF_FFF0)) for _ in range(4)
    )
    return first, second, third, fourth
