"""Changes a few values of the configuration file and nothing else: comments and order stay as people wrote them.

What comes out is read as the agent would read it before it takes the old one's place, which is kept beside it.
"""

import os
import shutil
from collections.abc import Callable, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from edge_agent.config_rules import load_config
from edge_agent.errors import ConfigError

_Edit = Callable[[MutableMapping[str, Any]], None]


def remove_lock(file: Path, lock: str, now: datetime) -> Path:
    """Take a lock out of the file; return where the file as it was is kept. ConfigError where that can't be."""

    def edit(table: MutableMapping[str, Any]) -> None:
        del table["locks"][_index(table, lock)]

    return _edit(file, edit, now)


def replace_serial(file: Path, lock: str, new: str, now: datetime) -> Path:
    """Give a lock's place another controller; return where the file as it was is kept."""

    def edit(table: MutableMapping[str, Any]) -> None:
        table["locks"][_index(table, lock)]["serial"] = new

    return _edit(file, edit, now)


def rename_gateway(file: Path, gateway: str, now: datetime) -> Path:
    """Give the gateway another id, also as the broker's user where it has one; return where the file is kept."""

    def edit(table: MutableMapping[str, Any]) -> None:
        before = table["gateway"]["id"]
        table["gateway"]["id"] = gateway
        if table.get("mqtt", {}).get("username") == before:
            table["mqtt"]["username"] = gateway

    return _edit(file, edit, now)


def _index(table: MutableMapping[str, Any], lock: str) -> int:
    for index, each in enumerate(table["locks"]):
        if str(each.get("serial", "")).lstrip("0") == lock.lstrip("0"):
            return index
    raise ConfigError(f"locks: {lock} isn't there (any more); remedy: see which are")


def _edit(file: Path, edit: _Edit, now: datetime) -> Path:
    passing = file.with_name(f".{file.name}.new")
    kept = file.with_name(f"{file.name}.{now:%Y%m%dT%H%M%S}.bak")
    try:
        table = tomlkit.parse(file.read_text(encoding="utf-8"))
        edit(table)
        passing.write_text(tomlkit.dumps(table), encoding="utf-8")
        shutil.copystat(file, passing)
        owner = file.stat()
        os.chown(passing, owner.st_uid, owner.st_gid)
        load_config(passing, check_files=False)
        shutil.copy2(file, kept)
        passing.replace(file)
    except OSError as error:
        raise ConfigError(
            f"{file}: can't be changed ({error.strerror}); remedy: run this as who may, or change it by hand"
        ) from error
    except TOMLKitError as error:
        raise ConfigError(f"{file}: isn't TOML: {error}; remedy: correct it") from error
    finally:
        passing.unlink(missing_ok=True)
    return kept
