"""Takes a lock out of the configuration file, gives its place another controller, gives the gateway another name.

Nothing else changes: comments and order stay as people wrote them, and the file before is kept (config_file).
"""

import re
from collections.abc import MutableMapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import tomlkit

from edge_agent.errors import ConfigError
from edge_agent.technician.config_file import read_document, write_document

_HEADER = re.compile(r"\s*\[")
_LOCK = re.compile(r"\s*\[\[\s*locks\s*\]\]")
_PART_OF_LOCK = re.compile(r"\s*\[+\s*locks\s*\.")


def remove_lock(file: Path, lock: str, now: datetime) -> Path | None:
    """Take a lock out, with the comment that stands above it; return where the file as it was is kept."""
    document = read_document(file)
    index = _index(document, lock)
    wanted = document.unwrap()
    del wanted["locks"][index]
    shorter = tomlkit.parse(_without(tomlkit.dumps(document), index))
    if (
        shorter.unwrap() != wanted
    ):  # written in one line, or in another unusual way: then without its comments
        del _locks(document)[index]
        shorter = document
    return write_document(file, shorter, now)


def replace_serial(file: Path, lock: str, new: str, now: datetime) -> Path | None:
    """Give a lock's place another controller; return where the file as it was is kept."""
    document = read_document(file)
    _locks(document)[_index(document, lock)]["serial"] = new
    return write_document(file, document, now)


def rename_gateway(file: Path, gateway: str, now: datetime) -> Path | None:
    """Give the gateway another id, also as the broker's user where it has one; return where the file is kept."""
    document = cast("MutableMapping[str, Any]", read_document(file))
    before = document["gateway"]["id"]
    document["gateway"]["id"] = gateway
    if document.get("mqtt", {}).get("username") == before:
        document["mqtt"]["username"] = gateway
    return write_document(file, cast("tomlkit.TOMLDocument", document), now)


def _locks(document: tomlkit.TOMLDocument) -> Any:
    return document.get("locks", [])


def _index(document: tomlkit.TOMLDocument, lock: str) -> int:
    for index, each in enumerate(_locks(document)):
        if str(each.get("serial", "")).lstrip("0") == lock.lstrip("0"):
            return index
    raise ConfigError(f"locks: {lock} isn't there (any more); remedy: see which are")


def _without(text: str, index: int) -> str:
    """Return the text without one of its [[locks]]; a comment right above a header belongs to it."""
    lines = text.splitlines(keepends=True)
    heads = [number for number, line in enumerate(lines) if _LOCK.match(line)]
    if index >= len(heads):
        return text
    following = (
        number
        for number in range(heads[index] + 1, len(lines))
        if _HEADER.match(lines[number]) and not _PART_OF_LOCK.match(lines[number])
    )
    end = next(following, len(lines))
    return "".join(lines[: _above(lines, heads[index])] + lines[_above(lines, end) :])


def _above(lines: Sequence[str], head: int) -> int:
    while head < len(lines) and head and lines[head - 1].lstrip().startswith("#"):
        head -= 1
    return head
