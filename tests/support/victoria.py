"""A private VictoriaMetrics on a free port of 127.0.0.1: takes InfluxDB's line protocol, answers PromQL."""

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support.ports import free_port, is_listening
from tests.support.server import ServerFailed, ServerProcess

_START_TRIES = 5
_TIMEOUT_S = 20
# Whatever tests write lies between these: 2024 and 2034.
_END_S, _SPAN_D = 2_020_000_000, 3650

Labels = tuple[tuple[str, str], ...]


class Victoria:
    """`with Victoria(tmp_path) as server: write to server.url; server.samples('wl_pour_volume_ml')`.

    The port stays the same through `stop`, `kill` and `start`, and so does what it has stored in `directory`.
    """

    host = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self._started_once = False
        self._server = ServerProcess("victoria-metrics", directory / "victoria-metrics.log")

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def running(self) -> bool:
        return self._server.running

    def start(self) -> Self:
        """Start it and return when it accepts connections."""
        program = shutil.which("victoria-metrics")
        if program is None:
            raise ServerFailed("victoria-metrics isn't installed: run `make setup`")
        for attempt in range(1, _START_TRIES + 1):
            try:
                self._server.start(self._command(program), lambda: is_listening(self.port))
                break
            except ServerFailed:
                if self._started_once or attempt == _START_TRIES or "in use" not in self._server.log_tail():
                    raise
                self.port = free_port()
        self._started_once = True
        return self

    def stop(self) -> None:
        """Let it end in order: it writes down what it has in memory."""
        self._server.stop()

    def kill(self) -> None:
        """kill -9: what it took within the last seconds may be gone."""
        self._server.kill()

    def samples(self, selector: str) -> dict[Labels, list[tuple[int, int]]]:
        """Return the stored samples of these series as queries see them, (ms, value) by the series' labels."""
        self._get("/internal/force_flush")
        answer = json.loads(self._get("/api/v1/query", query=f"{selector}[{_SPAN_D}d]", time=_END_S))
        assert answer["status"] == "success", answer
        return {
            tuple(sorted(series["metric"].items())): [
                (round(at_s * 1000), int(value)) for at_s, value in series["values"]
            ]
            for series in answer["data"]["result"]
        }

    def query_range(self, query: str, start_s: float, end_s: float, step_s: int = 60) -> list[Any]:
        """Return the series that a PromQL query gives between two instants, as Grafana would ask for them."""
        self._get("/internal/force_flush")
        answer = json.loads(
            self._get("/api/v1/query_range", query=query, start=start_s, end=end_s, step=f"{step_s}s")
        )
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def _get(self, path: str, **parameters: object) -> str:
        with urlopen(f"{self.url}{path}?{urlencode(parameters)}", timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode())

    def _command(self, program: str) -> list[str]:
        return [
            program,
            f"-storageDataPath={self.directory / 'data'}",
            f"-httpListenAddr={self.host}:{self.port}",
            "-retentionPeriod=100y",
            # As docs/time-series.md asks for: what is written twice counts once.
            "-dedup.minScrapeInterval=1ms",
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-memory.allowedBytes=256MB",
        ]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
