"""The scenario file: actions in time, checked whole before anything runs.

[[actions]]
at_s = 30          # real seconds after ready
do = "fault"
…
"""

import asyncio
import logging
import tomllib
from collections.abc import Sequence
from pathlib import Path

from firmware_sim.actions import AnyAction, check_targets, parse_action
from firmware_sim.config import EstateConfig
from firmware_sim.errors import ConfigError, UnknownTarget
from firmware_sim.stage import Stage

log = logging.getLogger(__name__)
MAX_ACTIONS = 10_000


def load_scenario(path: Path, estate: EstateConfig) -> list[AnyAction]:
    """Return the actions in order of time. Raises ConfigError with one line for each thing that is wrong."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read: {error.strerror}; check the path and its permissions"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    tables = content.get("actions", [])
    if set(content) - {"actions"} or not isinstance(tables, list) or len(tables) > MAX_ACTIONS:
        raise ConfigError(f"{path}: expected nothing but [[actions]], at most {MAX_ACTIONS}")
    actions, wrong = [], []
    for number, table in enumerate(tables, start=1):
        try:
            action = parse_action(table)
            check_targets(action, estate)
            if action.at_s is None:
                raise UnknownTarget("at_s is missing: say when, in seconds after ready")
            if action.times > 1 and action.every_s is None:
                raise UnknownTarget("times needs every_s: say how many seconds lie between")
            actions.append(action)
        except UnknownTarget as error:
            wrong.append(f"{path}: action {number} ({table.get('do', 'no `do`')}): {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return sorted(actions, key=lambda action: action.at_s or 0.0)


async def play(actions: Sequence[AnyAction], stage: Stage) -> None:
    """Perform the actions at their times. One that can't be done is reported; the others go on."""
    await asyncio.gather(*(_play_one(action, stage) for action in actions))


async def _play_one(action: AnyAction, stage: Stage) -> None:
    await asyncio.sleep(action.at_s or 0.0)
    for left in range(action.times, 0, -1):
        try:
            outcome = await stage.perform(action)
            log.info("scenario: %s %s", action.do, outcome)
        except UnknownTarget as error:
            log.warning("scenario: %s wasn't done: %s", action.do, error)
        if left > 1:
            await asyncio.sleep(action.every_s or 0.0)
