"""config/demo-estate/estate.toml: the property, its landlord, costs and agreement, without any date."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from demo.tenancies import CONFIG


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PropertyConfig(_Section):
    id: str
    name: str
    street: str
    postcode: str
    city: str
    time_zone: str


class LandlordConfig(_Section):
    party: str
    name: str
    street: str
    postcode: str
    city: str
    language: str


class AdvancesConfig(_Section):
    """What each resident pays on `day` of each month: `cents_per_m2` for each square metre of the dwelling."""

    day: int
    cents_per_m2: int


class AgreementConfig(_Section):
    """As billing's `allocation_agreement`; `declared_days_before` the period's first day."""

    base_share: int
    usage_share: int
    base_key: str
    minimum_ml_per_person_week: int
    minimum_fractions: tuple[str, ...]
    affected_area_percent: int
    vacancy_persons: int
    declared_days_before: int
    by_law: str


class LockUse(_Section):
    lock: str
    fraction: str
    chambers_ml: tuple[int, ...]


class CostConfig(_Section):
    """A cost of a whole year; a shorter period has its months' part of it."""

    item: str
    fraction: str
    description: str
    gross_cents: int
    apportionable: bool
    document: str


class DemoEstate(_Section):
    property: PropertyConfig
    landlord: LandlordConfig
    advances: AdvancesConfig
    agreement: AgreementConfig
    locks: tuple[LockUse, ...]
    cost_items: tuple[CostConfig, ...]


def read_estate(path: Path = CONFIG / "estate.toml") -> DemoEstate:
    """Return the checked file; pydantic's ValidationError names all that is wrong with it."""
    return DemoEstate.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
