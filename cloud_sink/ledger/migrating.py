"""Brings a ledger to this release's schema by the migrations in `cloud_sink/migrations`; never recreates one."""

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from cloud_sink.errors import ConfigError
from cloud_sink.ledger.database import Database

_SCRIPTS = Path(__file__).parent.parent / "migrations"


def migrate(database: Database) -> str:
    """Apply what is missing, in one transaction under the write lock, and return the schema's revision.

    Several sinks may start at once: the second one waits and finds nothing left to do.
    """
    scripts = _scripts()
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        here = context.get_current_revision()
        _refuse_newer(scripts, here)
        for step in reversed(list(scripts.iterate_revisions("heads", here or "base"))):
            with Operations.context(context):
                step.module.upgrade()
            context.stamp(scripts, step.revision)
    return current(scripts)


def check(database: Database) -> None:
    """Raise ConfigError unless the ledger is there and has this release's schema: reports migrate nothing."""
    scripts = _scripts()
    with database.reading() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    _refuse_newer(scripts, here)
    if here != current(scripts):
        raise ConfigError(
            [f"the ledger's schema is {here or 'not there yet'}, this release reads {current(scripts)}: "
             "start `cloud-sink run` once, it brings the ledger up to date"]
        )  # fmt: skip


def current(scripts: ScriptDirectory | None = None) -> str:
    """Return the revision that this release works with."""
    head = (scripts or _scripts()).get_current_head()
    if head is None:
        raise ConfigError(["no migrations are installed: install the package wastelock anew"])
    return head


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_SCRIPTS))


def _refuse_newer(scripts: ScriptDirectory, here: str | None) -> None:
    known = {step.revision for step in scripts.walk_revisions()}
    if here is not None and here not in known:
        raise ConfigError(
            [f"the ledger's schema {here} is newer than this release knows ({current(scripts)}): "
             "install the release that made it, or a later one"]
        )  # fmt: skip
