"""Keeps the newest snapshot at hand for a screen: asked for in a thread, so that keys are heard while locks are slow.

An agent that goes away is waited for. The lines aren't taken over then: it could not start again.
"""

import threading
from contextlib import ExitStack
from time import monotonic
from types import TracebackType
from typing import Self

from edge_agent.config import AgentConfig
from edge_agent.errors import EdgeAgentError
from edge_agent.local.snapshot import Snapshot
from edge_agent.technician.access import FieldAccess, open_field

_AGAIN_S = 1.0
_LATE_S = 5.0


class Watcher:
    """Context manager; entering raises what `open_field` and the first look raise. `trouble`: why nothing new comes."""

    def __init__(self, config: AgentConfig, interval_s: float) -> None:
        self.trouble: str | None = None
        self.has_news = threading.Event()
        self._config = config
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._way = ExitStack()
        self._newest: Snapshot | None = None
        self._got_at, self._late_s = monotonic(), max(_LATE_S, 3 * interval_s)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._field: FieldAccess = self._way.enter_context(open_field(self._config))
            self._newest, self._got_at = self._field.snapshot(), monotonic()
        except BaseException:
            self._way.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._way.close()

    @property
    def newest(self) -> Snapshot:
        """The newest snapshot there is."""
        assert self._newest is not None
        return self._newest

    @property
    def notice(self) -> str:
        """Why there is nothing newer, empty while all is well."""
        if self.trouble is not None:
            return f"nothing new: {self.trouble}"
        waited_s = monotonic() - self._got_at
        return (
            f"nothing new for {waited_s:.0f} s: the agent is slow, or stuck"
            if waited_s > self._late_s
            else ""
        )

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s if self.trouble is None else _AGAIN_S):
            try:
                if self.trouble is not None:
                    self._way.close()
                    self._field = self._way.enter_context(open_field(self._config, agent_only=True))
                self._newest, self._got_at = self._field.snapshot(), monotonic()
                self.trouble = None
            except EdgeAgentError as error:
                self.trouble = str(error)
            self.has_news.set()
