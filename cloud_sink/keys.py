"""What the sink knows of others' keys: gateways' public keys, locks' MAC keys, and its own pseudonym key.

All come from files that are not in the ledger. They are read whole at start and again on SIGHUP, and when the authority
has written its list of enrolled gateways anew; every problem is reported at once with its file and line, and a reload
with a problem changes nothing.
"""

import csv
import re
import secrets
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud_sink.errors import ConfigError
from cloud_sink.pseudonyms import KEY_BYTES, Pseudonyms
from wastelock.page import from_base64url, key_id
from wastelock.record import MacKey
from wastelock.registers import lock_id
from wastelock.topics import GatewayTopics, InvalidTopic

_LOCK_COLUMNS = ["lock", "from_epoch", "key"]
_GATEWAY_KEYS = {"id", "site", "public_keys"}
_TABLE_HEADER = re.compile(r"^\s*\[\[\s*gateways\s*\]\]")
_MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LockKeys:
    """One lock's MAC keys in time: the one in force for an epoch is that of the greatest `from_epoch` not above it."""

    from_epochs: tuple[int, ...]
    keys: tuple[MacKey, ...]

    def in_force(self, epoch: int) -> MacKey | None:
        """Return the key for an epoch, None where it began before the first key that is known."""
        index = bisect_right(self.from_epochs, epoch)
        return self.keys[index - 1] if index else None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`gateways`: (site, gateway) -> kid -> public key. `locks`: lock's name -> its MAC keys."""

    gateways: Mapping[tuple[str, str], Mapping[str, Ed25519PublicKey]]
    locks: Mapping[str, LockKeys]
    pseudonyms: Pseudonyms

    def mac_key(self, lock: str, epoch: int) -> MacKey | None:
        """Return the key of a lock's records in an epoch, None where the MAC can't be checked."""
        keys = self.locks.get(lock)
        return keys.in_force(epoch) if keys else None


@dataclass(slots=True)
class KeyFiles:
    """Where the keys are; `load` reads them."""

    gateways: Path
    locks: Path
    pseudonym_key: Path
    enrolled: Path | None = None
    _pseudonyms: Pseudonyms | None = field(default=None, init=False)
    _enrolled_as_read: object = field(default=None, init=False)

    def load(self) -> KeyRing:
        """Return the keys, or raise ConfigError with every problem of all files."""
        problems: list[str] = []
        gateways = _load_gateways(self.gateways, problems)
        if self.enrolled is not None:
            self._enrolled_as_read = _stamp(self.enrolled)
            gateways = _put_before(_load_gateways(self.enrolled, problems), gateways)
        locks = _load_locks(self.locks, problems)
        pseudonyms = _load_pseudonyms(self.pseudonym_key, problems)
        if problems or pseudonyms is None:
            raise ConfigError(problems)
        if self._pseudonyms is None or self._pseudonyms.fingerprint != pseudonyms.fingerprint:
            self._pseudonyms = pseudonyms  # else: keep the one whose cache is warm
        return KeyRing(gateways, locks, self._pseudonyms)

    def have_changed(self) -> bool:
        """True if the authority has written its list anew since it was read; the other files wait for SIGHUP."""
        return self.enrolled is not None and _stamp(self.enrolled) != self._enrolled_as_read


def _stamp(path: Path) -> object:
    """Return what differs once a file was replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _put_before(
    enrolled: dict[tuple[str, str], dict[str, Ed25519PublicKey]],
    by_hand: dict[tuple[str, str], dict[str, Ed25519PublicKey]],
) -> dict[tuple[str, str], dict[str, Ed25519PublicKey]]:
    """What the authority says of a gateway counts, even if it's that none of its keys is in force any more."""
    names = {gateway for _, gateway in enrolled}
    return {**{key: ring for key, ring in by_hand.items() if key[1] not in names}, **enrolled}


def load_pseudonyms(path: Path) -> Pseudonyms:
    """Return what makes pseudonyms under the key in this file, or raise ConfigError."""
    problems: list[str] = []
    pseudonyms = _load_pseudonyms(path, problems)
    if pseudonyms is None:
        raise ConfigError(problems)
    return pseudonyms


def make_pseudonym_key(path: Path) -> None:
    """Write a new pseudonym key, readable by its owner only; ConfigError if there is a file already."""
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(KEY_BYTES) + "\n", encoding="ascii")
    except FileExistsError as error:
        raise ConfigError(
            [
                f"{path}: there is a key already; with another one nobody would be the same any more. Left as it is"
            ]
        ) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be written: {error.strerror}"]) from error


def _read(path: Path, what: str, problems: list[str], remedy: str) -> str | None:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            problems.append(f"{path}: is larger than {_MAX_FILE_BYTES} bytes: that can't be {what}")
            return None
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problems.append(f"{path}: {what} isn't there: {remedy}")
    except UnicodeDecodeError:
        problems.append(f"{path}: isn't UTF-8 text: {remedy}")
    except OSError as error:
        problems.append(f"{path}: can't be read ({error.strerror}): let the sink's user read it")
    return None


def _load_gateways(path: Path, problems: list[str]) -> dict[tuple[str, str], dict[str, Ed25519PublicKey]]:
    text = _read(
        path,
        "the list of gateways",
        problems,
        "make it, with one [[gateways]] table for each gateway (that of enrolled ones: `cloud-sink ca init`)",
    )
    if text is None:
        return {}
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: isn't TOML: {error}")
        return {}
    for name in content.keys() - {"gateways"}:
        problems.append(f"{path}: unknown key {name!r}: expected only [[gateways]] tables")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _TABLE_HEADER.match(line)]
    gateways: dict[tuple[str, str], dict[str, Ed25519PublicKey]] = {}
    tables = content.get("gateways", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(f"{path}: `gateways` must be tables: write [[gateways]]")
        return {}
    for index, table in enumerate(tables):
        where = f"{path}: line {lines[index]}" if index < len(lines) else f"{path}: gateway {index + 1}"
        _add_gateway(where, table, gateways, problems)
    return gateways


def _add_gateway(
    where: str,
    table: dict[str, Any],
    gateways: dict[tuple[str, str], dict[str, Ed25519PublicKey]],
    problems: list[str],
) -> None:
    before = len(problems)
    problems.extend(f"{where}: unknown key {name!r}" for name in sorted(table.keys() - _GATEWAY_KEYS))
    gateway, site, keys = table.get("id"), table.get("site"), table.get("public_keys")
    if not isinstance(gateway, str) or not isinstance(site, str):
        problems.append(f"{where}: needs `id` and `site`, both text")
    else:
        try:
            GatewayTopics(site, gateway)
        except InvalidTopic as error:
            problems.append(f"{where}: {error}")
        if (site, gateway) in gateways:
            problems.append(
                f"{where}: gateway {gateway!r} of site {site!r} is listed twice: put all keys in one table"
            )
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        problems.append(
            f'{where}: needs `public_keys = ["…"]`: what `edge-agent keygen` printed at that gateway'
        )
        keys = []
    ring: dict[str, Ed25519PublicKey] = {}
    for text in keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(from_base64url(text))
            ring[key_id(public)] = public
        except ValueError:
            problems.append(
                f"{where}: {text!r} isn't an Ed25519 public key: expected 43 characters of base64url"
            )
    if len(problems) == before and isinstance(gateway, str) and isinstance(site, str):
        gateways[site, gateway] = ring


def _load_locks(path: Path, problems: list[str]) -> dict[str, LockKeys]:
    remedy = (
        f"make it, with the first line `{','.join(_LOCK_COLUMNS)}`; without further lines no MAC is checked"
    )
    text = _read(path, "the list of locks' keys", problems, remedy)
    if text is None:
        return {}
    rows = csv.reader(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    numbers = [n for n, line in enumerate(text.splitlines(), 1) if not line.lstrip().startswith("#")]
    found: dict[str, dict[int, MacKey]] = {}
    header_seen = False
    for row in rows:
        where = f"{path}: line {numbers[rows.line_num - 1]}"
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if not header_seen:
            header_seen = True
            if cells != _LOCK_COLUMNS:
                problems.append(f"{where}: the first line must be `{','.join(_LOCK_COLUMNS)}`")
                return {}
            continue
        _add_lock(where, cells, found, problems)
    if not header_seen:
        problems.append(f"{path}: is empty: {remedy}")
    return {
        lock: LockKeys(tuple(sorted(keys)), tuple(keys[epoch] for epoch in sorted(keys)))
        for lock, keys in found.items()
    }


def _add_lock(where: str, cells: list[str], found: dict[str, dict[int, MacKey]], problems: list[str]) -> None:
    if len(cells) != len(_LOCK_COLUMNS):
        problems.append(
            f"{where}: has {len(cells)} columns, expected {len(_LOCK_COLUMNS)}: {','.join(_LOCK_COLUMNS)}"
        )
        return
    lock_text, epoch_text, key_text = cells
    try:
        lock = lock_id(int(lock_text, 16))
        if int(lock_text, 16) >= 2**64:
            raise ValueError
    except ValueError:
        problems.append(f"{where}: lock {lock_text!r} isn't a serial number in hexadecimal, such as 1f00a3")
        return
    if not epoch_text.isdecimal() or int(epoch_text) >= 2**32:
        problems.append(f"{where}: from_epoch {epoch_text!r} isn't a number from 0 to {2**32 - 1}")
        return
    try:
        key = MacKey(bytes.fromhex(key_text))
    except ValueError:
        # The text itself is no part of the message: it may be most of a key.
        problems.append(f"{where}: the key of lock {lock} isn't 32 hexadecimal digits")
        return
    if int(epoch_text) in found.setdefault(lock, {}):
        problems.append(f"{where}: lock {lock} has two keys from epoch {epoch_text}: remove one")
    found[lock][int(epoch_text)] = key


def _load_pseudonyms(path: Path, problems: list[str]) -> Pseudonyms | None:
    text = _read(path, "the pseudonym key", problems, "make it with `cloud-sink keygen --config FILE`")
    if text is None:
        return None
    if path.stat().st_mode & 0o077:
        problems.append(f"{path}: others than its owner can read the pseudonym key: chmod 600 {path}")
        return None
    try:
        return Pseudonyms(bytes.fromhex(text.strip()))
    except ValueError:
        problems.append(
            f"{path}: isn't a pseudonym key of {2 * KEY_BYTES} hexadecimal digits: restore it from a backup"
        )
        return None
