"""TOML in, settings out, section by section: what doesn't hold is collected, so that one run shows all of it.

Each problem names the file, the key, what stands there, what was expected and the remedy. A secret's value (password,
key) stands in files of its own and so never in a message.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge_agent.config import (
    MAX_BUSES,
    MAX_LOCKS,
    BusSettings,
    ClockSettings,
    CounterChamber,
    CounterLock,
    GatewaySettings,
    IdentitySettings,
    JournalLock,
    LocalSettings,
    LockSettings,
    MetricsSettings,
    MqttSettings,
    OrderSettings,
    ReportingSettings,
    RtuBus,
    Rule,
    Section,
    SpoolSettings,
    TcpBus,
)
from edge_agent.errors import ConfigError

_EXAMPLE = "see config/edge-agent.toml"
_SECTIONS: dict[str, type[Section]] = {
    "gateway": GatewaySettings,
    "spool": SpoolSettings,
    "mqtt": MqttSettings,
    "clock": ClockSettings,
    "reporting": ReportingSettings,
    "metrics": MetricsSettings,
    "local": LocalSettings,
    "orders": OrderSettings,
}
_WHERE_THERE_IS_ONE: dict[str, type[Section]] = {"identity": IdentitySettings}
# What an [identity] brings along: its files stand for these keys.
_OF_IDENTITY = {
    "gateway": {"signing_key": "signing.pem"},
    "mqtt": {"ca_file": "ca.crt", "cert_file": "gateway.crt", "key_file": "gateway.key"},
}
_BUS_KINDS: dict[str, type[Section]] = {"rtu": RtuBus, "tcp": TcpBus}
_DRIVERS: dict[str, type[Section]] = {"wlc-1": JournalLock, "counter-1": CounterLock}


@dataclass(slots=True)
class Problems:
    """Collects what is wrong, so that one run of `check-config` shows all of it."""

    file: Path
    lines: list[str] = field(default_factory=list)

    def add(self, key: str, found: str, expected: str, remedy: str) -> None:
        self.lines.append(f"{self.file}: {key}: {found}; expected {expected}; remedy: {remedy}")


@dataclass(slots=True)
class Draft:
    """What could be read so far; `sections` lacks those that didn't hold, lists keep each item's index in the file."""

    sections: dict[str, Section] = field(default_factory=dict)
    buses: dict[int, BusSettings] = field(default_factory=dict)
    locks: dict[int, LockSettings] = field(default_factory=dict)


def read_table(file: Path) -> Mapping[str, Any]:
    """Return the TOML table in the file, or raise ConfigError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{file}: can't be read ({error.strerror}); remedy: name a file that this user may read"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file}: isn't TOML: {error}; remedy: correct that place, see config/edge-agent.toml"
        ) from error


def draft_config(table: Mapping[str, Any], problems: Problems) -> Draft:
    """Return all sections, buses and locks whose own keys hold; the rest is added to `problems`."""
    draft = Draft()
    models = _SECTIONS | {name: model for name, model in _WHERE_THERE_IS_ONE.items() if name in table}
    for key in table.keys() - models.keys() - {"buses", "locks"}:
        problems.add(
            key,
            "isn't known here",
            f"one of {', '.join([*_SECTIONS, *_WHERE_THERE_IS_ONE, 'buses', 'locks'])}",
            "correct or remove it",
        )
    table = _with_identity(table, problems)
    for name, model in models.items():
        section = _read_section(model, table.get(name, {}), name, problems)
        if section is not None:
            draft.sections[name] = section
    for index, bus in _read_items("buses", "kind", _BUS_KINDS, None, table, MAX_BUSES, problems).items():
        assert isinstance(bus, RtuBus | TcpBus)
        draft.buses[index] = bus
    for index, lock in _read_items("locks", "driver", _DRIVERS, "wlc-1", table, MAX_LOCKS, problems).items():
        assert isinstance(lock, JournalLock | CounterLock)
        draft.locks[index] = lock
    return draft


def _with_identity(table: Mapping[str, Any], problems: Problems) -> Mapping[str, Any]:
    """Return the table with the files of its [identity], if it has one, named where others name theirs by hand."""
    identity = table.get("identity")
    directory = identity.get("directory") if isinstance(identity, dict) else None
    if not isinstance(directory, str):
        return table
    filled = dict(table)
    for name, files in _OF_IDENTITY.items():
        section = table.get(name, {})
        if not isinstance(section, dict):
            continue
        for key in section.keys() & files.keys() - {"signing_key"}:
            problems.add(f"{name}.{key}", "is set", "nothing, since [identity] brings it along", "remove it")
        filled[name] = {key: f"{directory}/current/{file}" for key, file in files.items()} | section
    return filled


def _read_items(
    key: str,
    choice: str,
    models: Mapping[str, type[Section]],
    default: str | None,
    table: Mapping[str, Any],
    most: int,
    problems: Problems,
) -> dict[int, Section]:
    """Return the items of a list of tables, each read by the model that its key `choice` names."""
    items = table.get(key, [])
    if (
        not isinstance(items, list)
        or not 1 <= len(items) <= most
        or not all(isinstance(i, dict) for i in items)
    ):
        problems.add(
            key,
            "isn't a list of 1 or more tables",
            f"1..{most} tables [[{key}]]",
            _EXAMPLE,
        )
        return {}
    read: dict[int, Section] = {}
    for index, item in enumerate(items):
        name = item.get(choice, default)
        model = models.get(name) if isinstance(name, str) else None
        if model is None:
            known = " or ".join(f'"{m}"' for m in models)
            problems.add(f"{key}[{index}].{choice}", f"is {name!r}", known, "choose one of these")
        elif (section := _read_section(model, item, f"{key}[{index}]", problems)) is not None:
            read[index] = section
    return read


def _read_section(model: type[Section], table: object, key: str, problems: Problems) -> Section | None:
    if not isinstance(table, dict):
        problems.add(key, "isn't a table", f"a table [{key}]", _EXAMPLE)
        return None
    try:
        return model.model_validate(table)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _add_detail(model, detail, key, problems)
        return None


def _add_detail(model: type[Section], detail: ErrorDetails, key: str, problems: Problems) -> None:
    """Translate one of pydantic's findings."""
    at = key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        problems.add(
            at,
            "isn't known here",
            f"one of {', '.join(_keys_at(model, detail['loc']))}",
            "correct or remove it",
        )
        return
    rule = _rule_at(model, detail["loc"])
    found = "is missing" if detail["type"] == "missing" else f"is {detail['input']!r}"
    problems.add(at, found, rule.expected, rule.remedy)


def _model_at(model: type[Section], loc: tuple[int | str, ...]) -> type[Section]:
    return CounterChamber if len(loc) > 1 and model is CounterLock else model


def _keys_at(model: type[Section], loc: tuple[int | str, ...]) -> list[str]:
    return list(_model_at(model, loc).model_fields)


def _rule_at(model: type[Section], loc: tuple[int | str, ...]) -> Rule:
    """Return the rule beside the field that `loc` leads to."""
    names = [part for part in loc if isinstance(part, str)]
    info = _model_at(model, loc).model_fields.get(names[-1]) if names else None
    if info is not None:
        candidates = [
            *info.metadata,
            *(m for a in getattr(info.annotation, "__args__", ()) for m in _metadata(a)),
        ]
        for rule in candidates:
            if isinstance(rule, Rule):
                return rule
    return Rule("another value", _EXAMPLE)


def _metadata(annotation: object) -> tuple[object, ...]:
    return tuple(getattr(annotation, "__metadata__", ()))
