"""The tables that queries name are those that the migrations make."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from portal.accounts.book import Accounts
from portal.accounts.database import Database, migrate
from portal.accounts.tables import metadata
from portal.config import AccountsSection
from portal.roles import Role
from tests.support.portal import PASSWORD, QUICK


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_tables_and_migrations_say_the_same(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'accounts.sqlite'}"
    if server == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    assert migrate(database) == migrate(database)
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        made = {
            name: [(column["name"], column["nullable"]) for column in inspector.get_columns(name)]
            for name in inspector.get_table_names()
            if name != "alembic_version"
        }
    database.close()
    named = {
        table.name: [(column.name, bool(column.nullable)) for column in table.columns]
        for table in metadata.sorted_tables
    }
    assert made == named


def test_accounts_of_every_released_schema_are_opened(tmp_path: Path) -> None:
    kept = sorted(Path("tests/databases").glob("portal-accounts-*.sqlite"))
    assert kept
    for old in kept:
        copy = tmp_path / old.name
        copy.write_bytes(old.read_bytes())
        accounts = Accounts(AccountsSection(url=f"sqlite:///{copy}", audit_days=36_500), passwords=QUICK)
        accounts.prepare()
        assert [(user.name, user.role) for user in accounts.users.all()] == [
            ("ada", Role.OPERATOR), ("eva", Role.READER),
        ]  # fmt: skip
        assert accounts.users.check("ada", PASSWORD) is not None
        assert [token.name for token in accounts.tokens.all()] == ["grafana"]
        assert [link.household.dwelling for link in accounts.links.page()] == ["d1"]
        assert accounts.audit.page()[-1].action == "user add"
        accounts.close()
