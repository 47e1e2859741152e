"""Who may do what: the table of roles and permissions, and the viewer that every route is given.

The table is the truth. `portal/access.py` applies it; tests/integration/portal/test_access.py walks all routes by it.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Permission(StrEnum):
    """What a route asks for."""

    FLEET_READ = "fleet:read"  # fleet, sites, locks, quality, alarms, live stream; without pseudonyms
    PSEUDONYMS_READ = "pseudonyms:read"  # which transponder, by its pseudonym
    LOCK_WRITE = "lock:write"  # describe and move locks, desired values, acknowledge alarms, notes
    FEED_READ = "feed:read"  # the feed of events by site, replayed from any sequence
    BILLING_READ = "billing:read"  # runs, statements, invoices
    BILLING_WRITE = "billing:write"  # draft, decide, approve, finalize, correct
    TRANSPONDERS_WRITE = "transponders:write"  # mark a resident's transponder lost
    LINKS_WRITE = "links:write"  # make and revoke households' personal links
    ACCOUNTS_READ = "accounts:read"  # who has access, and the log of all writes
    ACCOUNTS_WRITE = "accounts:write"  # users and API tokens


class Role(StrEnum):
    """What a person or a token is given."""

    OPERATOR = "operator"
    CLERK = "clerk"
    TECHNICIAN = "technician"
    READER = "reader"


P = Permission
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset(
        {P.FLEET_READ, P.PSEUDONYMS_READ, P.LOCK_WRITE, P.FEED_READ, P.BILLING_READ, P.ACCOUNTS_READ, P.ACCOUNTS_WRITE}
    ),
    Role.CLERK: frozenset(
        {P.FLEET_READ, P.PSEUDONYMS_READ, P.BILLING_READ, P.BILLING_WRITE, P.TRANSPONDERS_WRITE, P.LINKS_WRITE}
    ),
    Role.TECHNICIAN: frozenset({P.FLEET_READ, P.PSEUDONYMS_READ, P.LOCK_WRITE}),
    Role.READER: frozenset({P.FLEET_READ}),
}  # fmt: skip


class ViewerKind(StrEnum):
    """How a viewer has said who he is."""

    PERSON = "person"  # a session's cookie
    TOKEN = "token"  # Authorization: Bearer
    HOUSEHOLD = "household"  # a personal link's cookie
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Household:
    """What a personal link opens: the data of one row of the bill, (dwelling, party), on these days.

    `until`: the last day, None while it goes on. `link_no`: the link's number in the accounts' database.
    """

    link_no: int
    property_id: str
    dwelling: str
    party: str
    since: date
    until: date | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `name` is the actor in every log; `session_key` tells sessions and tokens apart, and is no secret."""

    kind: ViewerKind = ViewerKind.NOBODY
    name: str = ""
    display_name: str = ""
    role: Role | None = None
    permissions: frozenset[Permission] = frozenset()
    household: Household | None = None
    language: str | None = None
    must_change: bool = False
    session_key: str = ""

    def may(self, permission: Permission) -> bool:
        """Return whether this viewer has the permission."""
        return permission in self.permissions


NOBODY = Viewer()
