"""A second opinion: recomputes a run from what it says it was calculated from, and compares every figure.

    python3 recompute_run.py RUN.json [PREVIOUS.json]     RUN.json: `billing-aggregator run show RUN --json`, or the
                                                          document of `run export`; `-` is standard input

For a court's expert, a landlord's lawyer, a tenants' association. It was written from the published rules, shares no
line with the program that it checks, and needs Python 3.11 alone. Whole cents, whole millilitres, exact fractions.
PREVIOUS.json: the revision before, of which rows with an unchanged share keep their cents. Exit 0: all is equal;
1: what differs was named; 2: these files don't tell.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

UNATTRIBUTED, CAP = "unattributed/owner", "cap/owner"
WEIGHTS = {"area": "area_dm2_days", "persons": "key_person_days", "dwellings": "days"}
VOLUMES = ("metered_ml", "substitute_ml", "minimum_ml", "billed_ml")
MONEY = ("base_cents", "usage_cents", "cap_cents", "charged_cents", "advances_cents", "balance_cents")
PARTS = ("own_cents", "common_cents", "total_cents")
Json = dict[str, Any]
Sums = dict[str, int]
Tie = Callable[[str], str]
Figures = Iterator[tuple[str, Any]]


def floor(share: Fraction) -> int:
    return share.numerator // share.denominator


def hand_out(
    total: int, exact: Mapping[str, Fraction], tie: Tie, kept: Sums, takers: Iterable[str] = ()
) -> Sums:
    """Floor of each share, or the cents kept; what is left one each by descending remainder, then by `tie`."""
    cents = {name: kept.get(name, floor(share)) for name, share in exact.items()}
    ranked = sorted(takers or exact, key=lambda name: (cents[name] - exact[name], tie(name)))
    return cents | {name: cents[name] + 1 for name in ranked[: total - sum(cents.values())]}


def largest_remainder(total: int, weights: Mapping[str, Any], tie: Tie) -> Sums:
    every = sum(weights.values())
    return hand_out(total, {name: Fraction(total * each) / every for name, each in weights.items()}, tie, {})


def drawn(seed: str, pool: str) -> Tie:
    """Ties: ascending SHA-256 of `<seed>|<pool>|<row>`."""
    return lambda row: hashlib.sha256(f"{seed}|{pool}|{row}".encode()).hexdigest()


def divide_pool(total: int, weights: Sums, before: Json, tie: Tie) -> tuple[dict[str, Fraction], Sums]:
    """Return exact shares, and cents by sticky rounding: a row with the share that it had keeps its cents."""
    exact = {row: Fraction(total * weight, sum(weights.values())) for row, weight in weights.items()}
    old = {share["row"]: share for share in before.get("shares", ())}
    kept = {
        row: int(old[row]["allocated_cents"])
        for row in exact
        if row in old and Fraction(old[row]["exact"]) == exact[row]
    }
    takers = [row for row in exact if row not in kept and exact[row] > 0]
    left = total - sum(kept.get(row, floor(share)) for row, share in exact.items())
    sticks = 0 <= left <= len(takers)
    return exact, hand_out(total, exact, tie, kept, takers) if sticks else hand_out(total, exact, tie, {})


def divide_costs(costs: Iterable[Json]) -> dict[str, tuple[int, int]]:
    """Return each fraction's own apportionable cents, and its part of the common ones (ties by name)."""
    own: Sums = defaultdict(int)
    for cost in costs:
        own[cost["fraction"]] += cost["gross_cents"] if cost["apportionable"] else 0
    common = own.pop("common", 0)
    own = {fraction: cents for fraction, cents in sorted(own.items()) if cents}
    parts = largest_remainder(common, own, str)
    return {fraction: (cents, parts[fraction]) for fraction, cents in own.items()}


class Recount:
    """One run. `figures`: all that it comes to by our own reckoning; `differences`: where the run says otherwise."""

    def __init__(self, document: Json, previous: Json) -> None:
        self.document, self.seed, self.agreement = document, document["seed"], document["agreement"]
        self.before = {
            each[part]["name"]: each[part] for each in previous["fractions"] for part in ("base", "usage")
        }
        self.figures: dict[str, Any] = {}
        self.differences: list[str] = []
        self.compared = 0
        self.money: dict[str, Sums] = defaultdict(lambda: dict.fromkeys(MONEY, 0))
        self.pools: dict[str, Sums] = {}
        self._add_up_usage()
        substitutes = self._divide_lost()
        costs = divide_costs(document["costs"])
        self.total_cents = sum(map(sum, costs.values()))
        for fraction, (own, common) in costs.items():
            self._divide_fraction(fraction, own, common, substitutes)
        self._charge()

    def check(self, what: str, stated: object, recomputed: object) -> None:
        self.compared += 1
        if stated != recomputed:
            self.differences.append(f"{what}: the run says {stated}, recomputed {recomputed}")

    def compare(self, where: str, stated: Figures, unstated: tuple[str, ...]) -> None:
        """Hold figures against ours; what only one side has counts as 0. `unstated`: what isn't said there at all."""
        left = dict(self.figures)
        for name, value in stated:
            self.check(f"{where}: {name}", value, self.figures.get(name, 0))
            left.pop(name, None)
        for name, value in left.items():
            if not name.endswith(unstated):
                self.check(f"{where}: {name}", 0, value)

    def _add_up_usage(self) -> None:
        usage = self.document["usage"]
        self.metered: Sums = defaultdict(int)
        for each in usage["rows"]:
            what = f"{each['row']} {each['fraction']} metered_ml"
            self.metered[what] += sum(chamber["volume_ml"] for chamber in each["chambers"])
            self.check(f"usage: {what}", each["metered_ml"], self.metered[what])
            self.check(f"usage by month: {what}", sum(each["months"].values()), self.metered[what])
        for fraction, volume_ml in usage["unattributed"].items():
            self.metered[f"{UNATTRIBUTED} {fraction} metered_ml"] += volume_ml
        for run in usage["registers"]:
            counted = (run["register_end"] - run["register_start"]) % 2**32
            explained = run["pours"] + run["lost"] + run["buffered"] + run["unexplained"]
            self.check(f"register {run['lock']}/{run['chamber']}", counted, explained % 2**32)

    def _divide_lost(self) -> Sums:
        """Return the substitutes by `row fraction`: volume that a register counted and nobody is known for."""
        divided: Sums = defaultdict(int)
        lost: Sums = defaultdict(int)
        for each in self.document["usage"]["lost"]:
            lost[f"{each['fraction']}/lost/{each['lock']}/{each['chamber']}"] += each["volume_ml"]
        for pool, volume_ml in lost.items():
            parts = {
                part["row"]: part
                for part in self.document["substitutes"]
                if pool == f"{part['fraction']}/lost/{part['lock']}/{part['chamber']}"
            }
            weights = {row: Fraction(part["estimate"]) for row, part in parts.items()}
            for row, part_ml in largest_remainder(volume_ml, weights, drawn(self.seed, pool)).items():
                self.check(f"substitutes: {pool} {row}", parts[row]["volume_ml"], part_ml)
                divided[f"{row} {pool.partition('/')[0]}"] += part_ml
        return divided

    def _divide_fraction(self, fraction: str, own: int, common: int, substitutes: Sums) -> None:
        law, rows = self.agreement, {row["row"]: row for row in self.document["basis"]}
        minimum = law["minimum_ml_per_person_week"] if fraction in law["minimum_fractions"] else 0
        billed: Sums = {}
        for row in [*rows, UNATTRIBUTED]:
            least = minimum * rows[row]["person_days"] // 7 if row in rows else 0
            volumes = self.metered[f"{row} {fraction} metered_ml"], substitutes[f"{row} {fraction}"]
            billed[row] = max(sum(volumes), least)
            names = [f"{row} {fraction} {name}" for name in VOLUMES]
            self.figures |= zip(names, (*volumes, least, billed[row]), strict=True)
        weights = {row: rows[row][WEIGHTS[law["base_key"]]] if row in rows else 0 for row in billed}
        if not sum(weights.values()):
            weights = {row: rows[row]["area_dm2_days"] if row in rows else 0 for row in billed}
        by_base = not any(billed[row] for row in rows) or self._estimated_too_much(
            fraction, billed, substitutes
        )
        split = {"base": law["base_share"], "usage": law["usage_share"]}
        for name, part_cents in zip(PARTS, (own, common, own + common), strict=True):
            self.figures[f"{fraction} {name}"] = part_cents
        for part, cents in largest_remainder(own + common, split, str).items():
            pool = f"{fraction}/{part}"
            self.figures[f"{pool} total_cents"] = cents
            weighed = billed if part == "usage" and not by_base else weights
            before = self.before.get(pool, {})
            self.figures[f"{pool} all_weights"] = sum(weighed.values())
            exact, self.pools[pool] = divide_pool(cents, weighed, before, drawn(self.seed, pool))
            for row, share in exact.items():
                self.figures[f"{row} {pool} weight"] = weighed[row]
                self.figures[f"{row} {pool} exact"] = share
                self.figures[f"{row} {pool} cents"] = self.pools[pool][row]
                self.money[row][f"{part}_cents"] += self.pools[pool][row]

    def _estimated_too_much(self, fraction: str, billed: Sums, substitutes: Sums) -> bool:
        """Dwellings with more than 10 % substitutes have more than the agreed percentage of area × days."""
        areas, estimated, all_ml = (defaultdict[str, int](int) for _ in range(3))
        for row in self.document["basis"]:
            areas[row["dwelling"]] += row["area_dm2_days"]
            estimated[row["dwelling"]] += substitutes[f"{row['row']} {fraction}"]
            all_ml[row["dwelling"]] += billed[row["row"]]
        affected = sum(area for each, area in areas.items() if estimated[each] * 10 > all_ml[each])
        threshold: int = self.agreement["affected_area_percent"]
        return affected * 100 > threshold * sum(areas.values())

    def _charge(self) -> None:
        """Shares less what the cap waives (its spread over a row's pools: by their cents, ties by their names)."""
        charged = {pool: dict(cents) for pool, cents in self.pools.items()}
        for payment in self.document["payments"]:
            self.money[payment["row"]]["advances_cents"] += payment["amount_cents"]
        for cap in self.document["caps"]:
            row, own = cap["row"], self.money[cap["row"]]
            balance = own["base_cents"] + own["usage_cents"] - own["advances_cents"]
            claimed = balance if cap["lifted_because"] else min(balance, cap["baseline_cents"])
            self.check(f"cap: {row} balance_cents", cap["balance_cents"], balance)
            self.check(f"cap: {row} claimed_cents", cap["claimed_cents"], claimed)
            self.check(f"cap: {row} waived_cents", cap["waived_cents"], balance - claimed)
            shares = {pool: cents.get(row, 0) for pool, cents in self.pools.items()}
            weights = shares if sum(shares.values()) else dict.fromkeys(shares, 1)
            for pool, waived in largest_remainder(balance - claimed, weights, str).items():
                charged[pool][row] = charged[pool].get(row, 0) - waived
                charged[pool][CAP] = charged[pool].get(CAP, 0) + waived
            own["cap_cents"] -= balance - claimed
            self.money[CAP]["cap_cents"] += balance - claimed
        for row, own in self.money.items():
            own["charged_cents"] = own["base_cents"] + own["usage_cents"] + own["cap_cents"]
            own["balance_cents"] = own["charged_cents"] - own["advances_cents"]
            self.figures |= {f"{row} {name}": own[name] for name in MONEY}
        for pool, cents in charged.items():
            self.figures |= {f"{row} {pool} charged": each for row, each in cents.items()}


def figures_of_document(document: Json) -> Figures:
    """Yield the figures that the document states, by the names that ours have."""
    for part in document["fractions"]:
        fraction, pools = part["fraction"], (part["base"], part["usage"])
        yield from ((f"{fraction} {name}", part[name]) for name in PARTS)
        for row in part["volumes"]:
            yield from ((f"{row['row']} {fraction} {name}", row[name]) for name in VOLUMES)
        for pool in pools:
            yield f"{pool['name']} total_cents", pool["total_cents"]
            for share in pool["shares"]:
                what = f"{share['row']} {pool['name']}"
                yield f"{what} weight", share["weight"]
                yield f"{what} exact", Fraction(share["exact"])
                yield f"{what} cents", share["allocated_cents"]
    for each in document["charged"]:
        yield f"{each['row']} {each['pool']} cents", each["allocated_cents"]
        yield f"{each['row']} {each['pool']} charged", each["charged_cents"]
    yield from money_of(document["balances"])


def figures_of_rows(rows: Iterable[Json]) -> Figures:
    """Yield the figures that `rows` of `run show` states."""
    for row in rows:
        for part in row["fractions"]:
            yield from ((f"{row['row']} {part['fraction']} {name}", part[name]) for name in VOLUMES)
            for pool in filter(None, (part["base"], part["usage"])):
                what = f"{row['row']} {pool['pool']}"
                yield from ((f"{what} {name}", pool[name]) for name in ("weight", "cents"))
                yield f"{what} exact", Fraction(pool["exact"])
                yield from ((f"{pool['pool']} {name}", pool[name]) for name in ("total_cents", "all_weights"))
    yield from money_of(rows)


def money_of(rows: Iterable[Json]) -> Figures:
    yield from ((f"{row['row']} {name}", row[name]) for row in rows for name in MONEY)


def check_caps(recount: Recount, previous: Json | None, sent: bool | None) -> None:
    """§ 556 (3) BGB: whom the cap protects, and by which balance.

    After the 12 months nobody owes more than by the last revision that reached him in time; a later one only lowers.
    """
    document = recount.document
    last_day = date.fromisoformat(document["period"]["end"]) - timedelta(days=1)
    next_month = date(last_day.year + 1 + last_day.month // 12, last_day.month % 12 + 1, 1)
    claim_until = next_month - timedelta(days=1)
    late = date.fromisoformat(document["receipt_on"]) > claim_until
    caps = {cap["row"]: cap for cap in document["caps"]}
    for row in document["basis"]:
        recount.check(f"cap: {row['row']}", row["row"] in caps, late and row["party"] != document["owner"])
    in_time = {
        (each["revision"], each["row"])
        for each in document["receipts"]
        if date.fromisoformat(each["delivered_on"]) <= claim_until
    }
    for row, cap in caps.items():
        baseline = 0
        if previous is not None:
            earlier = {each["row"]: each["baseline_cents"] for each in previous["caps"]}
            balances = {each["row"]: each["balance_cents"] for each in previous["balances"]}
            lifted = any(each["row"] == row and each["lifted_because"] for each in previous["caps"])
            if row not in earlier and previous["revision"] > 1:
                continue  # only the revisions before it tell
            baseline, now = earlier.get(row, 0), balances.get(row, 0)
            if (previous["revision"], row) in in_time or lifted:
                baseline = now
            elif sent is None and now < baseline:
                continue  # a revision that was sent lowers it, one that wasn't doesn't: `run show --json` tells
            elif sent:
                baseline = min(baseline, now)
        recount.check(f"cap: {row} baseline_cents", cap["baseline_cents"], baseline)


def read(path: str) -> tuple[Json, Json, str]:
    """Return what a file shows, the document in it, and the document's SHA-256."""
    shown = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text("utf-8"))
    if not isinstance(shown, dict) or not isinstance(shown.get("document", shown), dict):
        raise ValueError("it holds no run: give what `billing-aggregator run show RUN --json` prints")
    document = shown.get("document", shown)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return shown, document, hashlib.sha256(canonical.encode()).hexdigest()


def recompute(path: str, previous_path: str | None) -> Recount:
    """Recompute the run of one file, on the revision before it where there is one, and compare."""
    shown, document, sha256 = read(path)
    before_shown, before, before_sha256 = read(previous_path) if previous_path else ({}, None, None)
    if document["revision"] > 1 and before is None:
        raise ValueError(f"it is revision {document['revision']}: give the one before as the second file")
    recount = Recount(document, before or {"fractions": []})
    recount.compare("document", figures_of_document(document), (" all_weights",))
    if "rows" in shown:
        recount.compare("rows", figures_of_rows(shown["rows"]), (" charged", *PARTS))
        basis = {row["row"]: row for row in document["basis"]}
        for row in shown["rows"]:
            recount.check(f"rows: {row['row']} basis", row["basis"], basis.get(row["row"]))
        recount.check("sha256 of the document", shown["sha256"], sha256)
        recount.check("total_cents", shown["total_cents"], recount.total_cents)
        recount.check("charged_cents", shown["charged_cents"], recount.total_cents)
    recount.check("document: total_cents", document["total_cents"], recount.total_cents)
    charged = sum(own["charged_cents"] for own in recount.money.values())
    recount.check("the total against the sum of what is charged", charged, recount.total_cents)
    if before is not None:
        recount.check("document: previous_sha256", document["previous_sha256"], before_sha256)
    events = [each["event"] for each in before_shown["events"]] if "events" in before_shown else None
    check_caps(recount, before, None if events is None else "delivered" in events)
    return recount


def describe(error: Exception) -> str:
    return f"{error.args[0]!r} is missing in it" if isinstance(error, KeyError) else str(error)


def main(arguments: list[str]) -> int:
    """Print what was recomputed, then what differs; return the exit code."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    try:
        recount = recompute(arguments[0], arguments[1] if len(arguments) > 1 else None)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        print(f"{arguments[0]} can't be recomputed: {describe(error)}", file=sys.stderr)
        return 2
    print(f"{'row':<24}" + "".join(f"{name.removesuffix('_cents'):>14}" for name in MONEY))
    for row, own in recount.money.items():
        print(f"{row:<24}" + "".join(f"{own[name]:>14}" for name in MONEY))
    for difference in recount.differences:
        print(f"DIFFERS  {difference}")
    print(f"{recount.compared} figures were compared, in cents and ml: {len(recount.differences)} differ")
    return 1 if recount.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
