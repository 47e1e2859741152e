"""Allocation inputs of any kind, for property tests: rows, volumes, costs, agreements; the same in another order."""

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from billing_aggregator.model import (
    UNATTRIBUTED_ROW,
    Agreement,
    Allocation,
    AllocationInput,
    BaseKey,
    Pool,
    RowBasis,
    Substitute,
)
from tests.unit.billing_aggregator.worked_case import AGREEMENT

Key = TypeVar("Key")
Value = TypeVar("Value")

FRACTIONS = ("organic", "paper", "residual")
# Multiples of few numbers: ties and zeros are as likely as in a house of equal flats.
VOLUMES_ML = st.integers(0, 40).map(lambda pours: pours * 5000) | st.integers(0, 10**7)
COSTS = st.integers(0, 50) | st.integers(0, 10**7)


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    base = draw(st.integers(0, 100))
    return replace(
        AGREEMENT,
        base_share=base,
        usage_share=100 - base,
        base_key=draw(st.sampled_from(BaseKey)),
        minimum_ml_per_person_week=draw(st.sampled_from([0, 5000])),
        minimum_fractions=draw(st.frozensets(st.sampled_from(FRACTIONS))),
        affected_area_percent=draw(st.sampled_from([0, 25, 100])),
    )


@st.composite
def row_lists(draw: st.DrawFn) -> tuple[RowBasis, ...]:
    """One to five dwellings, each split into a party's days and maybe the owner's."""
    rows = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        area, persons = draw(st.sampled_from([4815, 5000, 6240])), draw(st.integers(1, 4))
        lived_in = draw(st.sampled_from([365, 365, 120, 0]))
        vacant = 365 - lived_in
        name = f"WE{number}"
        if lived_in:
            rows.append(
                RowBasis(f"{name}/T{number}", name, f"T{number}", lived_in, 0, area * lived_in, persons * lived_in,
                         persons * lived_in)
            )  # fmt: skip
        if vacant:
            rows.append(
                RowBasis(
                    f"{name}/owner", name, "owner", vacant, vacant, area * vacant, 0, vacant, area * vacant
                )
            )
    return tuple(rows)


@st.composite
def allocation_inputs(draw: st.DrawFn, with_substitutes: bool = True) -> AllocationInput:
    rows = draw(row_lists())
    names = [row.row for row in rows]
    costs = {fraction: draw(COSTS) for fraction in draw(st.sets(st.sampled_from(FRACTIONS), min_size=1))}
    if any(costs.values()):
        costs["common"] = draw(COSTS)
    metered = {(row, fraction): draw(VOLUMES_ML) for row in names for fraction in costs}
    estimated = st.builds(
        Substitute,
        row=st.sampled_from([*names, UNATTRIBUTED_ROW]),
        fraction=st.sampled_from(FRACTIONS),
        lock=st.just("1f00a3"),
        chamber=st.integers(1, 4),
        estimate=st.fractions(0, 10),
        volume_ml=VOLUMES_ML,
        method=st.just("average"),
        sources=st.just(()),
    )
    return AllocationInput(
        seed=draw(st.sampled_from(["A-2025", "B-2025"])),
        agreement=draw(agreements()),
        rows=rows,
        costs=costs,
        metered=metered,
        unattributed=draw(st.dictionaries(st.sampled_from(FRACTIONS), VOLUMES_ML)),
        substitutes=tuple(draw(st.lists(estimated, max_size=4))) if with_substitutes else (),
    )


def shuffle(inputs: AllocationInput, random: Random) -> AllocationInput:
    """Return the same input, everything in it in another order."""

    def mixed(mapping: dict[Key, Value]) -> dict[Key, Value]:
        return dict(random.sample(list(mapping.items()), len(mapping)))

    return replace(
        inputs,
        rows=tuple(random.sample(inputs.rows, len(inputs.rows))),
        costs=mixed(dict(inputs.costs)),
        metered=mixed(dict(inputs.metered)),
        unattributed=mixed(dict(inputs.unattributed)),
        substitutes=tuple(random.sample(inputs.substitutes, len(inputs.substitutes))),
        previous=mixed(dict(inputs.previous)),
    )


def pools_of(allocation: Allocation) -> dict[str, Pool]:
    return {pool.name: pool for part in allocation.fractions for pool in (part.base, part.usage)}


def cents_of(pool: Pool) -> dict[str, int]:
    return {share.row: share.allocated_cents for share in pool.shares}


def exact_of(pool: Pool) -> dict[str, Fraction]:
    return {share.row: share.exact for share in pool.shares}
