"""The sink's configuration: one TOML file, checked whole; all problems are reported at once, each with its remedy."""

import tomllib
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cloud_sink.errors import ConfigError
from cloud_sink.keys import KeyFiles
from cloud_sink.projections.usage_store import default_url
from wastelock.topics import InvalidTopic, check_name

_FILES = ("password_file", "ca_file", "cert_file", "key_file")
_ALONE_EXPIRY_S = 86_400
_GROUP_EXPIRY_S = 60


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _check_url(url: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("isn't a database URL: expected sqlite:///path or postgresql+psycopg://…") from None
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(
            f"{parsed.drivername!r} isn't supported: expected sqlite:///… or postgresql+psycopg://…"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("names no database: it needs a file or a database to stay in")
    return url


class LedgerSection(_Section):
    """`url`: `sqlite:///path` (relative to this file) or `postgresql+psycopg://user@host:port/database`."""

    url: str

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: str) -> str:
        return _check_url(url)


class MqttSection(_Section):
    """`share_group`: set it to the same name for all sinks that share the pages of one PostgreSQL ledger."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    share_group: str | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    session_expiry_s: Annotated[int, Field(ge=1, le=30 * 86400)] | None = None

    @field_validator("client_id", "share_group")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                check_name("name", name)
            except InvalidTopic as error:
                raise ValueError(str(error)) from None
        return name

    @property
    def expiry_s(self) -> int:
        """How long the broker keeps pages for a sink that is away.

        In a group not for long: brokers go on dealing pages to a member that is away, where nobody takes them.
        """
        if self.session_expiry_s is not None:
            return self.session_expiry_s
        return _ALONE_EXPIRY_S if self.share_group is None else _GROUP_EXPIRY_S

    @property
    def session_name(self) -> str:
        """The MQTT client id: the broker keeps the session of unacknowledged pages under this name."""
        return self.client_id or self.username or "cloud-sink"


class KeysSection(_Section):
    gateways: Path = Path("gateways.toml")
    locks: Path = Path("lock-keys.csv")
    pseudonym_key: Path = Path("pseudonym.key")

    def files(self) -> KeyFiles:
        return KeyFiles(self.gateways, self.locks, self.pseudonym_key)


class ProjectionsSection(_Section):
    """`url`: as in [ledger]; default: beside an SQLite ledger, in the same PostgreSQL database.

    `time_zone`: whose local days usage is counted by. `batch_entries`: taken in one transaction, at most.
    """

    url: str | None = None
    time_zone: str = "Europe/Berlin"
    batch_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    idle_s: Annotated[float, Field(ge=0.01, le=3600)] = 1.0

    @field_validator("url")
    @classmethod
    def _is_database(cls, url: str | None) -> str | None:
        return None if url is None else _check_url(url)

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone: expected a name such as Europe/Berlin")
        return name


class LimitsSection(_Section):
    """Bounds of everything that could grow. The defaults suit one sink on two cores."""

    receive_maximum: Annotated[int, Field(ge=10, le=5000)] = 400
    batch_pages: Annotated[int, Field(ge=1, le=1000)] = 200
    quarantine_mib: Annotated[int, Field(ge=1, le=100_000)] = 256
    quarantine_mib_per_gateway: Annotated[int, Field(ge=1, le=100_000)] = 32
    resend_after_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    resend_at_most_every_s: Annotated[float, Field(ge=1, le=86400)] = 600.0
    report_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0


class Config(_Section):
    ledger: LedgerSection
    mqtt: MqttSection = MqttSection()
    keys: KeysSection = KeysSection()
    projections: ProjectionsSection = ProjectionsSection()
    limits: LimitsSection = LimitsSection()

    @property
    def projections_url(self) -> str:
        """Where usage per day is kept."""
        return self.projections.url or default_url(self.ledger.url)


def load_config(path: Path) -> Config:
    """Return the configuration in this file, or raise ConfigError with every problem that it has."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"{path}: isn't there: name the configuration with --config FILE"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: isn't TOML: {error}"]) from error
    try:
        config = Config.model_validate(_resolve(content, path.parent))
    except ValidationError as error:
        raise ConfigError([_explain(path, problem) for problem in error.errors()]) from None
    problems = [*_check_directory(path, "ledger.url", config.ledger.url), *_check_mqtt(path, config.mqtt)]
    if config.projections.url is not None:
        problems += _check_directory(path, "projections.url", config.projections.url)
    if problems:
        raise ConfigError(problems)
    return config


def _resolve(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make relative paths relative to the configuration file; leave everything that isn't a path to the check."""
    resolved = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    for section, names in (("mqtt", _FILES), ("keys", ("gateways", "locks", "pseudonym_key"))):
        part = resolved.setdefault(section, {})
        if section == "keys" and isinstance(part, dict):
            part = resolved[section] = {"gateways": "gateways.toml", "locks": "lock-keys.csv",
                                        "pseudonym_key": "pseudonym.key", **part}  # fmt: skip
        if isinstance(part, dict):
            part.update({name: base / part[name] for name in names if isinstance(part.get(name), str)})
    for section in ("ledger", "projections"):
        part = resolved.get(section)
        if isinstance(part, dict) and isinstance(part.get("url"), str):
            prefix, slashes, database = part["url"].partition("sqlite:///")
            if slashes and not prefix and database and database != ":memory:":
                part["url"] = f"sqlite:///{base.absolute() / database}"
    return resolved


def _explain(path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key {key}: remove it, or correct its spelling"
        case "missing":
            return f"{path}: {key} is missing: add it (config/cloud-sink.toml shows all)"
        case _:
            return f"{path}: {key}: {problem['msg'].removeprefix('Value error, ')}"


def _check_directory(path: Path, key: str, database: str) -> list[str]:
    url = make_url(database)
    if url.drivername != "sqlite" or Path(url.database or "").parent.is_dir():
        return []
    return [f"{path}: {key}: there is no directory {Path(url.database or '').parent}: create it"]


def _check_mqtt(path: Path, mqtt: MqttSection) -> list[str]:
    problems = []
    for name in _FILES:
        file = getattr(mqtt, name)
        if file is not None and not _readable(file):
            problems.append(
                f"{path}: mqtt.{name}: {file} can't be read: create it, or let the sink's user read it"
            )
    if (mqtt.cert_file is None) != (mqtt.key_file is None):
        problems.append(f"{path}: mqtt.cert_file and mqtt.key_file belong together: set both or none")
    if mqtt.cert_file is not None and mqtt.ca_file is None:
        problems.append(f"{path}: mqtt.ca_file is missing: TLS needs to know whom to trust")
    if mqtt.password_file is not None and mqtt.username is None:
        problems.append(f"{path}: mqtt.username is missing: a password alone says nothing")
    if mqtt.share_group is not None and mqtt.client_id is None and mqtt.username is None:
        problems.append(
            f"{path}: mqtt.client_id is missing: with share_group each sink needs a client_id or username of its own"
        )
    return problems


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False
