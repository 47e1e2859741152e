"""What a run is about: how the estate looks, and what happens to it."""

from dataclasses import dataclass, field
from typing import Literal

Act = Literal[
    "kill agent",
    "kill agent at a read",
    "kill agent at an acknowledgement",
    "restart agent",
    "power cut at an acknowledgement",
    "hang up",
    "line fault",
    "late status",
    "late acknowledgement",
    "broker killed",
    "sink away",
    "others confirm",
    "ring fills while the agent is away",
    "tear",
    "tear for ever",
    "new epoch behind a status",
    "new epoch behind giving up",
    "clock goes wrong",
    "stranger put right",
    "controller exchanged",
    "spool lost",
    "counters turn",
    "counter replaced",
    "live on",
]


@dataclass(frozen=True)
class Theme:
    """`acts`: what happens, with weights. `epochs`, `power_cuts`: weights among what happens to a lock by itself."""

    name: str
    acts: dict[Act, float] = field(default_factory=dict)
    steps: int = 8
    tcp_locks: int = 2
    rtu_locks: int = 2
    counters: int = 0
    strangers: bool = False
    epochs: float = 0.05
    power_cuts: float = 1.0
    small_rings: bool = False
    near_the_end: bool = False
    knows_time: bool = True
    tiny_spool: bool = False
    pour_per_request: float = 0.15
    mute: float = 0.002
    hangs_up: float = 0.004


_KILLS: dict[Act, float] = {
    "kill agent": 2,
    "kill agent at a read": 3,
    "kill agent at an acknowledgement": 3,
    "restart agent": 1,
    "power cut at an acknowledgement": 3,
    "live on": 1,
}
_LINES: dict[Act, float] = {"line fault": 4, "late status": 3, "late acknowledgement": 3, "live on": 2}
_RINGS: dict[Act, float] = {"others confirm": 3, "ring fills while the agent is away": 2, "live on": 2}

THEMES: dict[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme("manners", {"live on": 3, "hang up": 2}, hangs_up=0.02, mute=0.004),
        Theme("kills", _KILLS, pour_per_request=0.3),
        Theme("epochs", {"live on": 2, "new epoch behind a status": 4}, epochs=2.0, power_cuts=2.0),
        Theme("rings", _RINGS, small_rings=True, pour_per_request=0.4),
        Theme("torn records", {"tear": 6, "tear for ever": 1, "live on": 2}, steps=6),
        Theme(
            "given up",
            {"new epoch behind giving up": 1},
            steps=1,
            small_rings=True,
            pour_per_request=0.02,
            epochs=0.0,
            power_cuts=0.0,
        ),
        Theme("lines", _LINES, rtu_locks=3, steps=7, mute=0.0, hangs_up=0.0),
        Theme("broker", {"broker killed": 2, "sink away": 2, "kill agent": 1, "live on": 3}, rtu_locks=1),
        Theme("strangers", {"live on": 3, "hang up": 1, "stranger put right": 1}, strangers=True, steps=5),
        Theme("exchanges", {"controller exchanged": 1, "spool lost": 1, "live on": 1}, counters=1, steps=4),
        Theme("clocks", {"clock goes wrong": 3, "live on": 2}, power_cuts=3.0),
        Theme("clocks without time", {"clock goes wrong": 2, "live on": 2}, knows_time=False, steps=5),
        Theme("last numbers", {"live on": 3, "restart agent": 1}, near_the_end=True, pour_per_request=0.6),
        Theme(
            "counters",
            {"counters turn": 5, "counter replaced": 1, "kill agent": 2, "live on": 1},
            tcp_locks=0,
            rtu_locks=1,
            counters=3,
            steps=10,
        ),
        Theme(
            "full spool",
            {"live on": 2},
            tiny_spool=True,
            epochs=0.0,
            tcp_locks=3,
            rtu_locks=0,
            steps=3,
            mute=0.0,
            hangs_up=0.0,
        ),
        Theme(
            "everything",
            {
                **_KILLS,
                **_LINES,
                **_RINGS,
                "broker killed": 1,
                "sink away": 1,
                "tear": 2,
                "hang up": 2,
                "new epoch behind a status": 1,
                "clock goes wrong": 1,
                "counters turn": 2,
                "counter replaced": 0.5,
                "stranger put right": 0.5,
                "controller exchanged": 0.5,
                "spool lost": 0.5,
            },
            steps=16,
            counters=1,
            strangers=True,
            epochs=0.6,
        ),
    )
}
