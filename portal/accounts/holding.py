"""Remembers which transponders are held back in which lock's access list, until somebody lets them go.

Kept, so that a portal that is started anew, and another one beside it, judge a list as this one does.
"""

import sqlalchemy as sa

from portal.accounts.database import Database
from portal.accounts.tables import held_transponders

_h = held_transponders.c


class HeldTransponders:
    """Transponders are named by their pseudonyms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, lock: str) -> frozenset[str]:
        """Return those that are held back in a lock's list."""
        with self._database.reading() as connection:
            return frozenset(connection.scalars(sa.select(_h.credential).where(_h.lock == lock)))

    def replace(self, lock: str, names: frozenset[str]) -> None:
        """Hold these back, and no others."""
        with self._database.writing() as connection:
            there = frozenset(connection.scalars(sa.select(_h.credential).where(_h.lock == lock)))
            for each in there - names:
                connection.execute(held_transponders.delete().where(_h.lock == lock, _h.credential == each))
            rows = [{"lock": lock, "credential": each} for each in sorted(names - there)]
            if rows:
                connection.execute(held_transponders.insert(), rows)
