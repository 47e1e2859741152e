"""`edge-agent watch`: all locks on one screen, live, for as long as somebody looks."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, exit_codes

if TYPE_CHECKING:
    from edge_agent.local.snapshot import Snapshot
    from edge_agent.technician.watch_screen import Wish
    from edge_agent.technician.watching import Watcher

_LOOK_S = 0.2
_PAGE = 10


def watch(
    config: ConfigOption = DEFAULT_CONFIG,
    once: Annotated[bool, typer.Option("--once", help="Show all of it once and end.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.2, max=60, help="Seconds between two looks.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each look, on a line.")
    ] = False,
) -> None:
    """Watch all locks: state, faults, last pour, where their records are, how well the buses work. Changes nothing.

    Keys: q quits, s sorts otherwise (place, trouble, last pour, custody, quality), arrows and Page Up/Down scroll.
    With --once exit code 1 if a lock or a bus is in trouble, else 0.

    Example: edge-agent watch --once --json
    """
    from edge_agent.config_rules import load_config
    from edge_agent.technician.watching import Watcher

    if not (once or as_json or (sys.stdin.isatty() and sys.stdout.isatty())):
        print("this is no terminal: add --once, or --json for machines", file=sys.stderr)
        raise typer.Exit(2)
    with exit_codes():
        loaded = load_config(Path(config), check_files=False)
        try:
            with Watcher(loaded, interval) as watcher:
                if once:
                    _show_once(watcher.newest, as_json)
                elif as_json:
                    _stream(watcher)
                else:
                    _show_live(watcher)
        except KeyboardInterrupt:
            return  # the usual way to end it, as good as q


def _show_once(snapshot: "Snapshot", as_json: bool) -> None:
    from rich.console import Console

    from edge_agent.technician.quality import Quality
    from edge_agent.technician.watch_rows import Level, lock_rows
    from edge_agent.technician.watch_screen import draw_once

    quality = Quality()
    quality.feed(snapshot)
    if as_json:
        print(snapshot.model_dump_json(exclude_none=True))
    else:
        console = Console(highlight=False)
        console.print(draw_once(snapshot, quality, console.width))
    troubled = any(row.level == Level.TROUBLE for row in lock_rows(snapshot, quality))
    if troubled or any(bus.trouble for bus in snapshot.buses):
        raise typer.Exit(1)


def _stream(watcher: "Watcher") -> None:
    while True:
        print(watcher.newest.model_dump_json(exclude_none=True), flush=True)
        watcher.has_news.clear()
        watcher.has_news.wait()
        if watcher.trouble is not None:
            print(watcher.trouble, file=sys.stderr)


def _show_live(watcher: "Watcher") -> None:
    from rich.console import Console
    from rich.live import Live

    from edge_agent.technician.keys import Keys
    from edge_agent.technician.quality import Quality
    from edge_agent.technician.watch_screen import Wish, draw

    # Somebody's exported COLUMNS would hide that the terminal has become larger or smaller.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    console, quality, wish = Console(highlight=False, _environ=environment), Quality(), Wish()
    quality.feed(watcher.newest)
    drawn: object = None
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            size, wish = console.size, replace(wish, notice=watcher.notice)
            if (size, wish, watcher.has_news.is_set()) != drawn:
                if watcher.has_news.is_set():
                    watcher.has_news.clear()
                    quality.feed(watcher.newest)
                drawn = (size, wish, False)
                live.update(draw(watcher.newest, quality, wish, size.width, size.height), refresh=True)
            key = keys.wait(_LOOK_S)
            if key == "q":
                return
            wish = _follow(wish, key, len(watcher.newest.locks))


def _follow(wish: "Wish", key: str | None, locks: int) -> "Wish":
    """Return what the person wants after this key."""
    from edge_agent.technician.watch_rows import Order

    orders = list(Order)
    match key:
        case "s":
            return replace(wish, order=orders[(orders.index(wish.order) + 1) % len(orders)], scrolled=0)
        case "up" | "page up":
            return replace(wish, scrolled=max(0, wish.scrolled - (1 if key == "up" else _PAGE)))
        case "down" | "page down":
            return replace(
                wish, scrolled=min(max(0, locks - 1), wish.scrolled + (1 if key == "down" else _PAGE))
            )
        case "home":
            return replace(wish, scrolled=0)
        case "end":
            return replace(wish, scrolled=max(0, locks - 1))
        case _:
            return wish
