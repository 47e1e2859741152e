"""All of the accounts behind one name: users, sessions, tokens, links and the log of writes, in one database;
and what is held back of access lists."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from portal.accounts.audit import AuditLog
from portal.accounts.database import Database, migrate
from portal.accounts.holding import HeldTransponders
from portal.accounts.links import Links
from portal.accounts.password import Passwords
from portal.accounts.sessions import Lifetimes, Sessions
from portal.accounts.tokens import Tokens
from portal.accounts.users import Users
from portal.config import AccountsSection


def utc_now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


class Accounts:
    """`accounts.users`, `.sessions`, `.tokens`, `.links`, `.held`, `.audit`. `prepare()` first: it makes the schema."""

    def __init__(
        self,
        settings: AccountsSection,
        clock: Callable[[], datetime] = utc_now,
        passwords: Passwords | None = None,
    ) -> None:
        self._settings = settings
        self._database = Database(settings.url)
        self.users = Users(self._database, clock, passwords or Passwords())
        self.sessions = Sessions(
            self._database,
            clock,
            Lifetimes(
                idle=timedelta(minutes=settings.session_idle_minutes),
                person=timedelta(hours=settings.session_hours),
                household=timedelta(days=settings.household_session_days),
            ),
        )
        self.tokens = Tokens(self._database, clock)
        self.links = Links(self._database, clock)
        self.held = HeldTransponders(self._database)
        self.audit = AuditLog(self._database, clock)

    def prepare(self) -> None:
        """Bring the schema up to date, and drop what has outlived its time."""
        migrate(self._database)
        self.sessions.prune()
        self.audit.prune(self._settings.audit_days)

    def check(self) -> None:
        """Raise Unavailable if the database doesn't answer now."""
        with self._database.reading() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
