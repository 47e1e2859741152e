"""Reads a chain's ledger in this process: what cloud-sink's commands print, without the second that each takes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

from cloud_sink.config import load_config
from cloud_sink.errors import ConfigError, LedgerUnavailable
from cloud_sink.exporting import write_lines
from cloud_sink.reading import LedgerReader
from demo.chain import Chain


def export(sink_config: Path) -> bytes:
    """Return what `cloud-sink export` prints; nothing while the ledger isn't there or its database is away."""
    lines = BytesIO()
    try:
        with closing(LedgerReader(load_config(sink_config).ledger.url)) as reader:
            write_lines(reader.all_entries(), lines)
    except (LedgerUnavailable, ConfigError):
        return b""
    return lines.getvalue()


@contextmanager
def open_ledger(chain: Chain) -> Iterator[LedgerReader]:
    """Read the ledger of a chain."""
    with closing(LedgerReader(load_config(chain.layout.sink_config).ledger.url)) as reader:
        yield reader


def quarantine(chain: Chain) -> list[str]:
    """Return the reason of each message in quarantine; none while there is no ledger yet."""
    try:
        with open_ledger(chain) as reader:
            return [line.reason for line in reader.quarantine()]
    except (LedgerUnavailable, ConfigError):
        return []


def disputes(chain: Chain) -> int:
    """Return how many contradictions the ledger holds."""
    with open_ledger(chain) as reader:
        return len(list(reader.disputes()))


def journals(chain: Chain) -> dict[str, tuple[str, int]]:
    """Return each journal's gateway and watermark."""
    with open_ledger(chain) as reader:
        return {line.journal: (line.gateway, line.committed_through) for line in reader.journals()}
