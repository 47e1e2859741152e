"""Chambers switched off for work at a lock, and on again as they were: the mask before is kept on disk meanwhile.

    status ──▶ mask kept beside the spool ──▶ mask 0 written, read back ──▶ … ──▶ mask as kept ──▶ file removed

Whatever ends a command in between, the next one finds what the chambers were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agent.config import AgentConfig
from edge_agent.drivers.base import Driver
from edge_agent.errors import BrokenAnswer, EdgeAgentError, NotReady, NotSupported
from edge_agent.orders.wishes import UnreadableDesired, read_desired
from edge_agent.spool_reader import SpoolReader
from edge_agent.technician.kept_files import keep_file
from wastelock.registers import Status, lock_id
from wastelock.topics import GatewayTopics

_UNLOCK_TRIES = 8  # an agent that is restarted is back within seconds
_UNLOCK_PAUSE_S = 2.0


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    enable_mask: int = Field(ge=0, le=0xF)


class ChamberSwitch:
    """One lock's chambers. `spool`: beside it the mask is kept, so that each command finds it."""

    def __init__(self, driver: Driver, status: Status, spool: Path, sleep: Callable[[float], object]) -> None:
        self.lock = lock_id(status.serial)
        self._driver = driver
        self._file = kept_mask_file(spool, self.lock)
        self._sleep = sleep
        # Chambers that are on: that is how they are. All off: perhaps by a command that couldn't end as it should.
        kept = kept_mask(spool, self.lock) if not status.enable_mask else None
        self.before = status.enable_mask if kept is None else kept

    def switch_off(self) -> None:
        """Switch all off. NotSupported, BusError; MediumFailed: nothing was done."""
        keep_file(self._file, _Kept(enable_mask=self.before).model_dump_json().encode())
        self._driver.enable_chambers(0)

    def restore(self) -> None:
        """Switch on again what was on, or raise NotReady, which says how that can be done."""
        for attempt in range(_UNLOCK_TRIES):
            try:
                self._driver.enable_chambers(self.before)
                if self._driver.read_status().enable_mask != self.before:
                    raise BrokenAnswer(f"chamber mask {self.before} was written, and is another again")
            except EdgeAgentError as error:
                if attempt == _UNLOCK_TRIES - 1:
                    raise NotReady(f"{still_off(self.lock)} ({error})") from error
                self._sleep(_UNLOCK_PAUSE_S)
            else:
                self.forget()
                return

    def forget(self) -> None:
        """They are to stay as they are: nobody has to switch them on again."""
        self._file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Switched:
    """Which chambers were on, and which are now."""

    before: int
    after: int


def switch_by_hand(driver: Driver, spool: Path, what: str) -> Switched:
    """Switch chambers `on` (as kept, else all), `off`, or as a mask says. NotReady where it can't be; BusError."""
    status = driver.read_status()
    lock = lock_id(status.serial)
    if what == "on":
        kept = kept_mask(spool, lock)
        mask = kept or (1 << driver.identify().chambers) - 1
    else:
        mask = 0 if what == "off" else int(what)
    try:
        driver.enable_chambers(mask)
    except NotSupported as error:
        raise NotReady(f"lock {lock}: {error}") from error
    kept_mask_file(spool, lock).unlink(missing_ok=True)
    return Switched(status.enable_mask, mask)


def kept_mask_file(spool: Path, lock: str) -> Path:
    """Return where the mask of a lock is kept whose chambers were switched off."""
    return spool.parent / f".chambers-{lock}.json"


def kept_mask(spool: Path, lock: str) -> int | None:
    """Return which chambers were on before a command switched all of them off, None where none did."""
    try:
        return _Kept.model_validate_json(kept_mask_file(spool, lock).read_bytes()).enable_mask
    except (OSError, ValidationError):
        return None


def wished_mask(config: AgentConfig, lock: str) -> int | None:
    """Return which chambers the cloud wishes to be on, as far as this gateway has heard, None: it doesn't care."""
    if not config.spool.path.exists():
        return None
    topic = GatewayTopics(config.gateway.site, config.gateway.id).desired
    reader = SpoolReader(config.spool.path)
    try:
        payload = reader.desired(topic)
        return None if payload is None else read_desired(payload, [lock]).wishes.of(lock).enable_mask
    except (UnreadableDesired, EdgeAgentError):  # a spool of another release: then nothing is said of it
        return None
    finally:
        reader.close()


def refuse_against_wish(config: AgentConfig, lock: str) -> None:
    """Raise NotReady where the running agent would switch chambers on again, because the cloud wishes so."""
    wished = wished_mask(config, lock)
    if wished:
        raise NotReady(
            f"the cloud wishes for chambers of lock {lock} to be on (mask {wished}): {take_back(lock)}"
        )


def take_back(lock: str) -> str:
    """Return what to do about chambers that are switched on again."""
    return (
        f"have it wish for 0, `cloud-sink lock desire {lock} enable_mask 0 --config FILE`, and withdraw what it has "
        "ordered (`cloud-sink command withdraw`), then begin again; without a network: systemctl stop "
        "wastelock-edge-agent once everything is on this disk, then begin again. Nothing was removed"
    )


def chambers_now(config: AgentConfig, lock: str) -> str:
    """Return what to say of the chambers after an interruption."""
    if kept_mask(config.spool.path, lock) is None:
        return "the chambers are as they were"
    return still_off(lock)


def still_off(lock: str) -> str:
    """Return what to say about chambers that a command leaves switched off."""
    return (
        f"lock {lock}: its chambers STAY SWITCHED OFF. To have them on as they were: `edge-agent chambers {lock} on`, "
        "while the agent runs or without it; or from the cloud: `cloud-sink command send "
        f"{lock} enable_chambers --mask N`"
    )
