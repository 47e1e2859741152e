"""Writes points to a server that speaks InfluxDB's v2 write API: one request at a time, each answered before the next.

Synchronous on purpose: the client's batching interface can lose points without an exception, and then the cursor would
have moved past them.
"""

from collections.abc import Sequence

import structlog
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from cloud_sink.config import TimeseriesSection
from cloud_sink.errors import ConfigError, TimeSeriesUnavailable

_log = structlog.get_logger(__name__)
_BODY_CHARS = 200
_REMEDIES = {
    400: "it doesn't take these points: is something else written to this bucket?",
    401: "it doesn't take the token: see timeseries.token_file",
    403: "the token may not write there: see timeseries.token_file",
    404: "it has no such bucket or organisation: see timeseries.bucket and timeseries.org",
    413: "the request is too large for it: lower timeseries.batch_lines",
}


class TimeseriesServer:
    """The server that the configuration names. Nothing is opened before the first points are written."""

    def __init__(self, settings: TimeseriesSection) -> None:
        self._settings = settings
        self._client = InfluxDBClient(
            settings.url,
            token=_read_token(settings),
            org=settings.org,
            timeout=int(settings.timeout_s * 1000),
            enable_gzip=True,
        )
        self._writing = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, lines: Sequence[str]) -> None:
        """Write these lines of line protocol (nanoseconds), and return when the server has taken all of them.

        TimeSeriesUnavailable: it may have taken some of them; write all of them again later.
        """
        size = self._settings.batch_lines
        for start in range(0, len(lines), size):
            self._write("\n".join(lines[start : start + size]).encode())

    def close(self) -> None:
        # The client leaves these without types.
        self._writing.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    def _write(self, payload: bytes) -> None:
        settings = self._settings
        try:
            self._writing.write(settings.bucket, settings.org, payload)  # nanoseconds are its default
        except ApiException as error:
            said = str(error.body or error.reason or "").strip()[:_BODY_CHARS]
            if error.status == 422 and "retention" in said:
                # Older than the bucket keeps anything: the server dropped those and took the others.
                _log.warning(
                    "the time series server keeps no points that are so old", server=settings.url, said=said
                )
                return
            remedy = _REMEDIES.get(error.status, "trying again later")
            raise TimeSeriesUnavailable(
                f"{settings.url} answers {error.status}: {remedy}" + (f" ({said})" if said else "")
            ) from error
        except HTTPError as error:
            raise TimeSeriesUnavailable(f"{settings.url} can't be reached: {type(error).__name__}") from error


def _read_token(settings: TimeseriesSection) -> str:
    if settings.token_file is None:
        return ""
    try:
        return settings.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"timeseries.token_file: {settings.token_file} can't be read: {error}"]) from error
