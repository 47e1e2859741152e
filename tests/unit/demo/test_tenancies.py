"""The demo's people: each dwelling has exactly one party (or none) on every day, whatever the period's length."""

from datetime import UTC, datetime
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import pytest

from demo.period import last_full_months
from demo.tenancies import Stay, households, read_stays

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def stays(months: int = 12, seed: int = 1) -> tuple[Stay, ...]:
    return read_stays(last_full_months(NOW, months, ZoneInfo("Europe/Berlin")), seed)


@pytest.mark.parametrize("months", range(1, 13))
def test_stays_in_a_dwelling_follow_each_other_without_a_gap(months: int) -> None:
    by_dwelling = {name: list(found) for name, found in groupby(stays(months), lambda s: s.dwelling.dwelling)}
    assert len(by_dwelling) == 120
    for found in by_dwelling.values():
        assert found[-1].end is None
        assert all(one.end == other.first and one.first < one.end for one, other in pairwise(found))
    assert sum(len(found) > 1 for found in by_dwelling.values()) == 11


def test_a_transponder_is_held_by_one_party_only() -> None:
    holders: dict[str, set[str | None]] = {}
    for stay in stays():
        for uid in stay.uids:
            holders.setdefault(uid, set()).add(stay.party)
    assert len(holders) > 200
    assert all(len(parties) == 1 for parties in holders.values())
    assert not set(holders) & {uid for stay in stays(seed=2) for uid in stay.uids}


def test_a_lost_transponder_isnt_used_any_more_and_a_vacant_dwelling_has_none() -> None:
    lost = [stay for stay in stays() if stay.dwelling.dwelling == "5-20"]
    assert len(lost) == 2 and lost[0].party == lost[1].party
    assert lost[0].uids[0] not in lost[1].uids and lost[0].uids[1:] == lost[1].uids[:-1]
    assert [stay.uids for stay in stays() if stay.party is None] == [(), (), ()]


def test_everybody_comes_to_the_locks_of_their_dwelling_with_the_same_transponders() -> None:
    homes = households(stays(), seed=1)
    assert sorted(homes) == ["1f00a1", "1f00a2", "1f00a3", "1f00a4", "1f00a5"]
    residual = {home.transponders for lock in ("1f00a1", "1f00a2", "1f00a4") for home in homes[lock]}
    organic = {home.transponders for lock in ("1f00a3", "1f00a5") for home in homes[lock]}
    assert residual == organic == {stay.uids for stay in stays() if stay.party}
