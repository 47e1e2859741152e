"""Billing's configuration: one TOML file, checked whole; all problems are reported at once, each with its remedy.

`calculation_hash` covers what a run's result could depend on. Where the databases are, who may approve and what the
operator charges aren't part of it: a run must replay the same after the database has moved.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from billing_aggregator.errors import ConfigError
from billing_aggregator.invoice.settings import CustomerSection, FeeSection, InvoiceSettings, OperatorSection

Actor = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSection(_Section):
    """`url`: `sqlite:///path` (relative to this file) or `postgresql+psycopg://user@host:port/database`."""

    url: str

    @field_validator("url", "usage_url", check_fields=False)
    @classmethod
    def _is_known(cls, url: str | None) -> str | None:
        if url is None:
            return None
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
            raise ValueError("names no database: billing's books must be somewhere that lasts")
        return url


class LedgerSection(DatabaseSection):
    """The sink's ledger, which is only read. `usage_url`: where the sink keeps usage per day, if not where it does by
    default."""

    usage_url: str | None = None


class ApprovalSection(_Section):
    """Four eyes: who may approve what somebody else handed in. Names as in --actor, or of the operating system."""

    approvers: tuple[Actor, ...] = ()


class RunsSection(_Section):
    """`receipt_days`: planned days from handing in to the parties' letter boxes. `alarm_days`: so long before the
    12 months end. `processes`: how many properties an automatic run calculates at once."""

    receipt_days: Annotated[int, Field(ge=0, le=180)] = 14
    alarm_days: Annotated[int, Field(ge=1, le=365)] = 90
    processes: Annotated[int, Field(ge=1, le=64)] = 1


class Config(_Section):
    """`database`: billing's own books."""

    database: DatabaseSection
    ledger: LedgerSection
    approval: ApprovalSection = ApprovalSection()
    runs: RunsSection = RunsSection()
    operator: OperatorSection = OperatorSection()
    fees: tuple[FeeSection, ...] = ()
    customers: tuple[CustomerSection, ...] = ()

    @property
    def invoicing(self) -> InvoiceSettings:
        """What the operator's own invoices need."""
        return InvoiceSettings(operator=self.operator, fees=self.fees, customers=self.customers)

    @property
    def calculation_hash(self) -> str:
        """SHA-256 (hex) of what a run's result could depend on."""
        return hashlib.sha256(self.runs.model_dump_json(include={"receipt_days"}).encode()).hexdigest()


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
    problems = [
        f"{path}: {name}.url: there is no directory {folder}: create it"
        for name, section in (("database", config.database), ("ledger", config.ledger))
        if (folder := _missing_folder(section.url)) is not None
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _resolve(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make relative paths of databases relative to the configuration file."""
    resolved = dict(content)
    for name in ("database", "ledger"):
        section = resolved.get(name)
        if isinstance(section, dict):
            resolved[name] = {
                key: _resolve_url(value, base) if key in ("url", "usage_url") else value
                for key, value in section.items()
            }
    return resolved


def _resolve_url(url: Any, base: Path) -> Any:
    """What isn't a URL is left to the check."""
    prefix, slashes, database = url.partition("sqlite:///") if isinstance(url, str) else ("", "", "")
    relative = slashes and not prefix and database and database != ":memory:"
    return f"sqlite:///{base.absolute() / database}" if relative else url


def _missing_folder(url: str) -> Path | None:
    parsed = make_url(url)
    folder = Path(parsed.database or "").parent
    return None if parsed.drivername != "sqlite" or folder.is_dir() else folder


def _explain(path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key {key}: remove it, or correct its spelling"
        case "missing":
            return f"{path}: {key} is missing: add it (config/billing-aggregator.toml shows all)"
        case _:
            return f"{path}: {key}: {problem['msg'].removeprefix('Value error, ')}"
