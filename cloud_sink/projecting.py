"""Which projections there are, and how each is made from the configuration: a new one gets a line in PROJECTIONS."""

from collections.abc import Callable
from random import Random

from cloud_sink.config import Config
from cloud_sink.errors import ConfigError
from cloud_sink.following import Projection
from cloud_sink.projections.feed import Feed
from cloud_sink.projections.timeseries import Timeseries
from cloud_sink.projections.twins.projection import TwinProjection
from cloud_sink.projector import Projector


def _usage(config: Config) -> Projection:
    settings = config.projections
    return Projector(config.ledger.url, config.projections_url, settings.time_zone, settings.batch_entries)


def _twins(config: Config) -> Projection:
    settings = config.projections
    return TwinProjection(
        config.ledger.url,
        config.projections_url,
        settings.time_zone,
        settings.batch_entries,
        config.twins,
    )


def _feed(config: Config) -> Projection:
    batch_entries = config.projections.batch_entries
    return Feed(config.ledger.url, config.projections_url, batch_entries, config.feed_broker, Random())


def _timeseries(config: Config) -> Projection:
    if config.timeseries is None:
        raise ConfigError(
            ["timeseries.url is missing: add the section [timeseries] with the server's address"]
        )
    return Timeseries(config.ledger.url, config.projections_url, config.timeseries)


# Each call makes a projection with connections of its own, for the thread that calls. `cloud-sink project` and its
# like take them in this order.
PROJECTIONS: dict[str, Callable[[Config], Projection]] = {
    "usage": _usage,
    "twins": _twins,
    "feed": _feed,
    "timeseries": _timeseries,
}

# Those that the configuration has to ask for; all others are always kept.
WANTED: dict[str, Callable[[Config], bool]] = {
    "timeseries": lambda config: config.timeseries is not None,
}


def wanted_projections(config: Config) -> list[str]:
    """Return the names of the projections that this configuration asks for."""
    return [name for name in PROJECTIONS if name not in WANTED or WANTED[name](config)]
