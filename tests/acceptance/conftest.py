"""Fixtures of the acceptance tests: a running chain in a directory of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path

import pytest

from cloud_sink.config import load_config
from cloud_sink.errors import ConfigError, LedgerUnavailable
from cloud_sink.exporting import write_lines
from cloud_sink.reading import LedgerReader
from demo.chain import Chain
from demo.estate import Estate
from demo.layout import Layout, Settings
from tests.acceptance.estates import small_estate
from tests.support.ports import free_port

StartChain = Callable[..., Chain]

# Quick to notice, quick to send again: what the shipped defaults do in minutes.
QUICK_SINK = {"limits": {"resend_after_s": 0.5, "resend_at_most_every_s": 1.0, "report_interval_s": 0.5}}


def read_ledger(sink_config: Path) -> bytes:
    """Return what `cloud-sink export` would print, without the second that a new process takes.

    Nothing while the ledger can't be read: not there yet, or its database is away.
    """
    lines = BytesIO()
    try:
        with closing(LedgerReader(load_config(sink_config).ledger.url)) as reader:
            write_lines(reader.all_entries(), lines)
    except (LedgerUnavailable, ConfigError):
        return b""
    return lines.getvalue()


@pytest.fixture
def start_chain(tmp_path: Path) -> Iterator[StartChain]:
    """Return what starts a chain: `start_chain(estate, settings, backlog_days=…, speed=…)`. All end with the test."""
    with ExitStack() as running:

        def start(
            estate: Estate | None = None,
            settings: Settings | None = None,
            *,
            backlog_days: float = 5,
            speed: float = 1.0,
            seed: int = 1,
            before_start: Callable[[Chain], None] = lambda chain: None,
            leave_out: tuple[str, ...] = (),
        ) -> Chain:
            layout = Layout(tmp_path / "chain", estate or small_estate(), free_port)
            settings = settings or Settings(poll_interval_s=0.1, sink=QUICK_SINK)
            chain = Chain(
                layout,
                settings,
                seed=seed,
                backlog_days=backlog_days,
                speed=speed,
                export=read_ledger,
                leave_out=leave_out,
            )
            before_start(chain)
            return running.enter_context(chain)

        yield start
