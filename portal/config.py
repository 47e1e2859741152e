"""The portal's configuration: one TOML file, checked whole; all problems are reported at once, each with its remedy."""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from portal.errors import ConfigError

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebSection(_Section):
    """`public_url`: how browsers reach the portal; links, cookies and the check of origins go by it.

    `trusted_proxies`: addresses whose X-Forwarded-For and -Proto are believed. `hosts`: further host names that it
    answers to.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str = "http://127.0.0.1:8080"
    trusted_proxies: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    concurrent_requests: Annotated[int, Field(ge=8, le=10_000)] = 500
    body_kib: Annotated[int, Field(ge=1, le=65_536)] = 1024

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
        ):
            raise ValueError(
                "expected the address that browsers use, without a path: https://portal.example.org"
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError(
                f"{parts.hostname} would get cookies and passwords in the clear: "
                "put a proxy with TLS in front of the portal and write its https:// address here"
            )
        return url.rstrip("/")

    @property
    def secure(self) -> bool:
        """True if browsers come by https."""
        return self.public_url.startswith("https://")

    @property
    def allowed_hosts(self) -> list[str]:
        """Host names (without ports) that requests may ask for: others are refused, so that no foreign name is bound
        to a loopback address and gets at the portal that way."""
        named = urlsplit(self.public_url).hostname or ""
        local = _LOCAL_NAMES if is_loopback(self.host) else ()
        return sorted({named, *local, *self.hosts})


class SinkSection(_Section):
    """`config`: the cloud sink's configuration file; its databases are read, its operator events written."""

    config: Path = Path("cloud-sink.toml")
    poll_interval_s: Annotated[float, Field(ge=0.05, le=60)] = 0.2


class BillingSection(_Section):
    """`config`: the billing aggregator's configuration file; without it the portal shows no bills."""

    config: Path | None = None


class AccessSection(_Section):
    """`follow_masterdata`: locks get the access lists that the master data want, if the portal shows bills and the sink
    signs orders. `look_every_s`: so often it is looked whether they are others by now.
    """

    follow_masterdata: bool = True
    look_every_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0


class AccountsSection(_Section):
    """`url`: database of users, sessions, API tokens, links and the log of writes, as in the sink's [ledger]."""

    url: str = "sqlite:///portal-accounts.sqlite"
    session_idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    session_hours: Annotated[int, Field(ge=1, le=168)] = 12
    household_session_days: Annotated[int, Field(ge=1, le=365)] = 30
    audit_days: Annotated[int, Field(ge=30, le=36_500)] = 400

    @field_validator("url")
    @classmethod
    def _is_database(cls, url: str) -> str:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ValueError(
                "isn't a database URL: expected sqlite:///path or postgresql+psycopg://…"
            ) from None
        if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
            raise ValueError(
                f"{parsed.drivername!r} isn't supported: expected sqlite:///… or postgresql+psycopg://…"
            )
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError("names no database: accounts must be somewhere that lasts")
        return url


class LimitsSection(_Section):
    """Rate limits, in the notation of the library `limits`: "5/minute; 30/hour". Counted in this process."""

    login_per_account: str = "5/minute; 15/15 minutes; 40/hour"
    login_per_address: str = "20/minute; 200/hour"
    link_per_address: str = "20/minute; 200/hour"
    token: str = "600/minute"
    live_per_session: Annotated[int, Field(ge=1, le=100)] = 8
    live_in_all: Annotated[int, Field(ge=1, le=10_000)] = 300


class ShownSection(_Section):
    """How things are shown: `time_zone` of all instants, `language` where the browser asks for none of ours."""

    time_zone: str = "Europe/Berlin"
    language: Annotated[str, Field(pattern="^(de|en)$")] = "de"

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone: expected a name such as Europe/Berlin")
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself."""
        return ZoneInfo(self.time_zone)


class Config(_Section):
    """All sections; each has defaults that run beside the examples of the other programs."""

    web: WebSection = WebSection()
    sink: SinkSection = SinkSection()
    billing: BillingSection = BillingSection()
    access: AccessSection = AccessSection()
    accounts: AccountsSection = AccountsSection()
    limits: LimitsSection = LimitsSection()
    shown: ShownSection = ShownSection()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own and no other's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
        config = Config.model_validate(_resolve(content, path.parent.absolute()))
    except ValidationError as error:
        raise ConfigError([_explain(path, problem) for problem in error.errors()]) from None
    problems = [*_check_files(path, config), *_check_folder(path, config.accounts.url)]
    if config.web.secure and not config.web.trusted_proxies:
        problems.append(
            f"{path}: web.trusted_proxies is missing: name the address of the proxy that has the certificate, "
            "or everybody would seem to come from there"
        )
    if problems:
        raise ConfigError(problems)
    return config


def _resolve(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make relative paths relative to the configuration file; leave everything that isn't a path to the check."""
    resolved = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    for section, default in (("sink", "cloud-sink.toml"), ("billing", None)):
        part = resolved.setdefault(section, {})
        if isinstance(part, dict):
            name = part.get("config", default)
            if isinstance(name, str):
                part["config"] = base / name
    part = resolved.setdefault("accounts", {})
    if isinstance(part, dict):
        url = part.get("url", AccountsSection().url)
        prefix, slashes, database = url.partition("sqlite:///") if isinstance(url, str) else ("", "", "")
        if slashes and not prefix and database and database != ":memory:":
            part["url"] = f"sqlite:///{base / database}"
    return resolved


def _explain(path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key {key}: remove it, or correct its spelling (config/portal.toml shows all)"
        case _:
            return f"{path}: {key}: {problem['msg'].removeprefix('Value error, ')}"


def _check_files(path: Path, config: Config) -> list[str]:
    files = (("sink.config", config.sink.config), ("billing.config", config.billing.config))
    return [
        f"{path}: {key}: {file} isn't there: name that program's configuration"
        for key, file in files
        if file is not None and not file.is_file()
    ]


def _check_folder(path: Path, url: str) -> list[str]:
    parsed = make_url(url)
    folder = Path(parsed.database or "").parent
    if parsed.drivername != "sqlite" or folder.is_dir():
        return []
    return [f"{path}: accounts.url: there is no directory {folder}: create it"]
