"""The tables that queries name are those that the migrations make."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from portal.accounts.database import Database, migrate
from portal.accounts.tables import metadata


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
