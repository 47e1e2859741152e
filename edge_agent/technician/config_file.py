"""The configuration file, changed by a command: comments and order stay, the file before is kept."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from edge_agent.config_rules import load_config
from edge_agent.errors import ConfigError


def read_document(file: Path) -> tomlkit.TOMLDocument:
    """Return the file's content to be changed, an empty one where there is no file; ConfigError where it isn't TOML."""
    if not file.exists():
        return tomlkit.document()
    try:
        return tomlkit.parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: can't be read ({error.strerror}); remedy: sudo") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: isn't TOML: {error}; remedy: correct that place by hand first") from error


def tables(document: tomlkit.TOMLDocument, key: str) -> AoT:
    """Return the list of tables [[key]] of a document, made at its end where there is none."""
    found = document.get(key)
    if found is None:
        found = tomlkit.aot()
        document.append(key, found)
    if not isinstance(found, AoT):
        raise ConfigError(
            f"{key} is written as one line here; remedy: write it as tables [[{key}]] and try again"
        )
    return found


def table_of(fields: Iterable[tuple[str, object]]) -> Table:
    """Return a new table with these fields in this order, set off by an empty line."""
    table = tomlkit.table()
    table.trivia.indent = "\n"
    for name, value in fields:
        table.add(name, value)
    return table


def set_field(table: Table, name: str, value: object, after: str) -> None:
    """Set a field; one that wasn't there comes behind the field `after`, not behind the comments at the table's end."""
    if name in table:
        table[name] = value
    else:
        table.value._insert_after(after, name, tomlkit.item(value))


def write_document(file: Path, document: tomlkit.TOMLDocument, now: datetime) -> Path | None:
    """Put the content in the file's place, at once and as a whole; return where the one before is kept (None: new).

    A file that would no longer load although the one before did is refused: ConfigError, and nothing has changed.
    """
    directory = file.absolute().parent
    try:
        descriptor, name = tempfile.mkstemp(".toml", f".{file.name}.", directory)
    except OSError as error:
        raise ConfigError(f"{directory}: can't be written ({error.strerror}); remedy: sudo") from error
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(tomlkit.dumps(document).lstrip("\n").rstrip("\n") + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            _refuse_what_gets_worse(file, fresh)
        return _put_in_place(file, fresh, now)
    finally:
        fresh.unlink(missing_ok=True)


def _refuse_what_gets_worse(file: Path, fresh: Path) -> None:
    try:
        load_config(file, check_files=False)
    except ConfigError:
        return  # it isn't whole yet: somebody is still filling it in
    load_config(fresh, check_files=False)


def _put_in_place(file: Path, fresh: Path, now: datetime) -> Path | None:
    kept = None
    if file.exists():
        before = file.stat()
        fresh.chmod(before.st_mode & 0o7777)
        with suppress(PermissionError):  # only root may give files away; the content is what counts
            os.chown(fresh, before.st_uid, before.st_gid)
        kept = file.with_name(f"{file.name}.before-{now:%Y%m%dT%H%M%S}")
        kept.write_bytes(file.read_bytes())
        kept.chmod(before.st_mode & 0o7777)
    else:
        fresh.chmod(0o644)
    fresh.replace(file)
    return kept
