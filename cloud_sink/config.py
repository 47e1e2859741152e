"""The sink's configuration: one TOML file, checked whole; all problems are reported at once, each with its remedy."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from cloud_sink.authority.settings import AuthoritySection
from cloud_sink.errors import ConfigError
from cloud_sink.keys import KeyFiles
from cloud_sink.orders.settings import OrdersSection
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projections.usage_store import default_url
from wastelock.credentials import credential_path
from wastelock.monitoring import parse_address
from wastelock.topics import InvalidTopic, check_name

_FILES = ("password_file", "ca_file", "cert_file", "key_file")
_PATHS = {
    "mqtt": _FILES,
    "keys": ("gateways", "locks", "pseudonym_key", "enrolled"),
    "feed": _FILES,
    "timeseries": ("token_file",),
    "orders": ("signing_key",),
    "authority": ("directory", "passphrase_file", "crl_file", "acl_file", *_FILES),
}
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


def _checked_name(name: str) -> str:
    try:
        check_name("name", name)
    except InvalidTopic as error:
        raise ValueError(str(error)) from None
    return name


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
        return None if name is None else _checked_name(name)

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
    """`enrolled`: the gateways that the authority has enrolled; written by it, without one there are none."""

    gateways: Path = Path("gateways.toml")
    locks: Path = Path("lock-keys.csv")
    pseudonym_key: Path = Path("pseudonym.key")
    enrolled: Path | None = None

    def files(self) -> KeyFiles:
        return KeyFiles(self.gateways, self.locks, self.pseudonym_key, self.enrolled)


class ProjectionsSection(_Section):
    """`url`: as in [ledger]; default: beside an SQLite ledger, in the same PostgreSQL database.

    `time_zone`: whose local days usage is counted by. `batch_entries`: taken in one transaction, at most.
    """

    url: str | None = None
    time_zone: str = "Europe/Berlin"
    batch_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    idle_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.2

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


class ObservationsSection(_Section):
    """What is kept of what gateways report; every change that matters is, whatever stands here.

    `keep_every_s`, `telemetry_every_s`: at least so often one is kept where nothing changed. `silent_after_s`: one that
    comes after so long a silence is kept. `keep_days`, `telemetry_keep_days`: older ones are given up.
    """

    keep_every_s: Annotated[int, Field(ge=1, le=86_400)] = 3600
    telemetry_every_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    silent_after_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    telemetry_keep_days: Annotated[int, Field(ge=1, le=36_500)] = 40


class FeedSection(_Section):
    """Where the feed is published: at the broker of [mqtt], as whoever stands here.

    `publish` False: the feed is kept and can be read, but not published. The connection is another one than that of
    `cloud-sink run`; where user names come from certificates it therefore needs a certificate of its own.
    """

    publish: bool = True
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @field_validator("client_id")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        return None if name is None else _checked_name(name)


class TimeseriesSection(_Section):
    """A server that speaks InfluxDB's v2 write API. Without this section nothing is written anywhere.

    `token_file`: holds the token, where the server wants one. `batch_lines`: points of one request, at most.
    `quality_every_s`: how often the quality of each lock's data is written, in time of the ledger.
    """

    url: str
    org: str = ""
    bucket: str = "wastelock"
    token_file: Path | None = None
    batch_lines: Annotated[int, Field(ge=1, le=50_000)] = 5_000
    timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 10.0
    quality_every_s: Annotated[int, Field(ge=1, le=86_400)] = 300

    @field_validator("url")
    @classmethod
    def _is_server(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("isn't the address of a server: expected http://host:8428 or https://…")
        return url.rstrip("/")


class MetricsSection(_Section):
    """Where figures are served for Prometheus: `listen` of `run`, `project_listen` of `project`; without, nowhere.

    `refresh_s`: how often the ledger is asked for those that only it knows.
    """

    listen: str | None = None
    project_listen: str | None = None
    refresh_s: Annotated[float, Field(ge=1, le=3600)] = 15.0

    @field_validator("listen", "project_listen")
    @classmethod
    def _is_address(cls, text: str | None) -> str | None:
        return None if text is None else str(parse_address(text))


def _default_checking_processes() -> int:
    return 1 if len(os.sched_getaffinity(0)) > 1 else 0


class LimitsSection(_Section):
    """Bounds of everything that could grow. The defaults suit one sink on two cores.

    `checking_processes`: 0 has pages checked in the sink's own process; by default one more is started where there is a
    second core for it.
    """

    receive_maximum: Annotated[int, Field(ge=10, le=5000)] = 400
    batch_pages: Annotated[int, Field(ge=1, le=1000)] = 200
    quarantine_mib: Annotated[int, Field(ge=1, le=100_000)] = 256
    quarantine_mib_per_gateway: Annotated[int, Field(ge=1, le=100_000)] = 32
    resend_after_s: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    resend_at_most_every_s: Annotated[float, Field(ge=1, le=86400)] = 600.0
    report_interval_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    checking_processes: Annotated[int, Field(ge=0, le=16)] = Field(
        default_factory=_default_checking_processes
    )


class Config(_Section):
    ledger: LedgerSection
    mqtt: MqttSection = MqttSection()
    keys: KeysSection = KeysSection()
    projections: ProjectionsSection = ProjectionsSection()
    observations: ObservationsSection = ObservationsSection()
    limits: LimitsSection = Field(default_factory=LimitsSection)
    feed: FeedSection = FeedSection()
    timeseries: TimeseriesSection | None = None
    metrics: MetricsSection = MetricsSection()
    authority: AuthoritySection | None = None
    orders: OrdersSection = OrdersSection()
    twins: Thresholds = Thresholds()

    @property
    def feed_broker(self) -> MqttSection | None:
        """As whom the feed is published; None where it isn't. ConfigError if that would throw out `cloud-sink run`."""
        return _as_another(self.mqtt, self.feed, "feed") if self.feed.publish else None

    @property
    def authority_broker(self) -> MqttSection:
        """As whom `cloud-sink ca run` goes to the broker; ConfigError as above."""
        return _as_another(self.mqtt, self.authority or AuthoritySection(directory=Path("ca")), "authority")

    @property
    def projections_url(self) -> str:
        """Where usage per day is kept."""
        return self.projections.url or default_url(self.ledger.url)


def _as_another(mqtt: MqttSection, section: FeedSection | AuthoritySection, name: str) -> MqttSection:
    """Return [mqtt] with the identity of another section: each connection needs one of its own."""
    if mqtt.cert_file is not None and section.cert_file is None:
        raise ConfigError(
            [f"{name}.cert_file is missing: with the certificate of [mqtt] the broker would take it for "
             f"`cloud-sink run`: give it one of its own{', or set feed.publish = false' if name == 'feed' else ''}"]
        )  # fmt: skip
    names = ("client_id", "username", "password_file", "cert_file", "key_file")
    changed = {key: getattr(section, key) for key in names if getattr(section, key) is not None}
    return mqtt.model_copy(update={"client_id": f"{mqtt.session_name}-{name}", **changed})


def load_config(path: Path, *, files_must_exist: bool = True) -> Config:
    """Return the configuration in this file, or raise ConfigError with every problem that it has.

    `files_must_exist=False` is for the authority's commands, which make the certificates that it names.
    """
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
    if files_must_exist:
        problems += [*_check_files(path, "mqtt", config.mqtt), *_check_files(path, "feed", config.feed)]
    if (config.feed.cert_file is None) != (config.feed.key_file is None):
        problems.append(f"{path}: feed.cert_file and feed.key_file belong together: set both or none")
    if config.timeseries is not None:
        problems += _check_files(path, "timeseries", config.timeseries)
    if config.projections.url is not None:
        problems += _check_directory(path, "projections.url", config.projections.url)
    if problems:
        raise ConfigError(problems)
    return config


def _resolve(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make paths absolute, keys be read from where systemd put them; leave all that isn't a path to the check."""
    resolved = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    credentials, directory = os.environ.get("CREDENTIALS_DIRECTORY"), base.absolute()
    for section, names in _PATHS.items():
        part = resolved.setdefault(section, {}) if section == "keys" else resolved.get(section)
        if section == "keys" and isinstance(part, dict):
            part = resolved[section] = {"gateways": "gateways.toml", "locks": "lock-keys.csv",
                                        "pseudonym_key": "pseudonym.key", **part}  # fmt: skip
        if section == "authority" and isinstance(part, dict):
            part.setdefault("directory", "ca")
        if isinstance(part, dict):
            files = {name: str(directory / part[name]) for name in names if isinstance(part.get(name), str)}
            for name, file in files.items():
                part[name] = Path(credential_path(file, str(directory), credentials))
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


def _check_files(path: Path, name: str, section: BaseModel) -> list[str]:
    files = [(key, getattr(section, key)) for key in _PATHS[name] if key in type(section).model_fields]
    return [
        f"{path}: {name}.{key}: {file} can't be read: create it, or let the sink's user read it"
        for key, file in files
        if file is not None and not _readable(file)
    ]


def _check_mqtt(path: Path, mqtt: MqttSection) -> list[str]:
    problems = []
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
