"""How a run of billing is named, and named as somebody saw it."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class RunName:
    """A run by its name. `revision` None: the latest."""

    property_id: str
    first: date
    revision: int | None = None

    def __str__(self) -> str:
        return f"{self.property_id}/{self.first}" + ("" if self.revision is None else f"/{self.revision}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as somebody saw it: `steps` had been taken. What he does now is meant for exactly that."""

    name: RunName
    steps: int
