"""Volumes that people give: on the command line, or in the list of locks that the cloud has, too (config/locks.csv)."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import typer

from edge_agent.errors import ConfigError

_VOLUME = re.compile(r"(?P<chamber>[1-4]):(?P<ml>[1-9]\d{0,5})")
_CHAMBERS = range(1, 5)
_BYTES_MAX = 16 * 1024 * 1024


def parse_volumes(option: str, given: Sequence[str] | None) -> dict[int, int]:
    """Return millilitres by chamber, as `1:5000` says them."""
    volumes: dict[int, int] = {}
    for text in given or ():
        match = _VOLUME.fullmatch(text)
        if match is None:
            raise typer.BadParameter(f"{option}: {text!r}: expected CHAMBER:ML, such as 1:5000")
        volumes[int(match["chamber"])] = int(match["ml"])
    return volumes


def planned_volumes(file: Path | None, lock: str) -> dict[int, int]:
    """Return the chambers' volumes of a lock in a list of locks, nothing without one; ConfigError: what is wrong."""
    if file is None:
        return {}
    try:
        if file.stat().st_size > _BYTES_MAX:
            raise ConfigError(f"{file}: is too large for a list of locks; remedy: name another file")
        lines = [
            line for line in file.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("#")
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: can't be read ({error}); remedy: name the list of locks (CSV, UTF-8)"
        ) from error
    separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    for row in csv.DictReader(lines, delimiter=separator, skipinitialspace=True):
        cells = {
            (name or "").strip(): (value or "").strip()
            for name, value in row.items()
            if isinstance(value, str)
        }
        if cells.get("lock", "").lstrip("0") == lock.lower().lstrip("0"):
            return {
                number: int(ml)
                for number in _CHAMBERS
                if (ml := cells.get(f"chamber_{number}_ml", "")).isdecimal()
            }
    raise ConfigError(f"{file}: has no lock {lock}; remedy: add its line, or give --planned instead")
