"""Open alarms in figures, for monitoring: asked of the twins' tables whenever somebody asks."""

from cloud_sink.errors import SinkError
from cloud_sink.ledger.database import Database
from cloud_sink.projections.twins.alarms import count_open


class AlarmFigures:
    """Thread-safe."""

    def __init__(self, url: str) -> None:
        """`url`: the projections' database. Nothing is opened yet."""
        self._database = Database(url, read_only=True)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return open alarms by kind and severity; none where there are no twins, or they can't be asked now."""
        try:
            with self._database.reading() as connection:
                counted = count_open(connection)
        except SinkError:
            return {}
        return {(kind.value, severity.value): count for (kind, severity), count in counted.items()}

    def close(self) -> None:
        self._database.close()
