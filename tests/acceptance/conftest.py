"""Fixtures of the acceptance tests: a running chain in a directory of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.chain import Chain
from demo.estate import Estate
from demo.layout import Layout, Settings
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port

StartChain = Callable[..., Chain]

# Quick to notice, quick to send again: what the shipped defaults do in minutes.
QUICK_SINK: dict[str, dict[str, Any]] = {
    "limits": {"resend_after_s": 0.5, "resend_at_most_every_s": 1.0, "report_interval_s": 0.5}
}


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
                export=export,
                leave_out=leave_out,
                calendar_at=QUIET_NIGHT,
            )
            before_start(chain)
            return running.enter_context(chain)

        yield start
