"""Which controller is mounted in which place; kept beside their memories, because a swap outlives a restart."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from firmware_sim.config import LockConfig, describe
from firmware_sim.errors import StateError


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    swapped: dict[str, LockConfig] = {}


class Mounts:
    """The swaps made in one estate; a place is named by the serial number that the configuration gives it."""

    def __init__(self, state: Path) -> None:
        self._path = state / "mounts.json"

    def mounted(self, config: LockConfig) -> LockConfig:
        """Return what is mounted in this place: `config` itself unless it was swapped."""
        swapped = self._read().swapped.get(config.serial)
        if swapped is None:
            return config
        return swapped.model_copy(update={"bus": config.bus, "unit": config.unit})

    def swap(self, place: str, config: LockConfig) -> None:
        """Note durably that `config` is mounted in `place` now."""
        kept = self._read()
        kept.swapped.pop(place, None)
        if config.serial != place:
            kept.swapped[place] = config
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(kept.model_dump_json(), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            raise StateError(f"{self._path}: {error.strerror}; make room or name another --state") from error

    def _read(self) -> _Kept:
        try:
            return _Kept.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return _Kept()
        except OSError as error:
            raise StateError(f"{self._path}: {error.strerror}; check its permissions") from error
        except ValidationError as error:
            raise StateError(
                f"{self._path}: {'; '.join(describe(error))}; mend or remove the file"
            ) from error
