"""The log of each program: one format for all, and what never gets into it."""

import json
import logging
import sys
from types import ModuleType

import pytest
import structlog

import cloud_sink.log
import edge_agent.log
import portal.log

LOGS = pytest.mark.parametrize("module", [edge_agent.log, cloud_sink.log, portal.log])


@pytest.fixture(autouse=True)
def root_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the portal does to Python's own logging ends with the test."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)


UID = 0xE004_0123_4567_89AB


@LOGS
def test_a_line_is_json_where_no_terminal_is(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    module.configure_log()
    structlog.get_logger().warning("lock has a problem", lock="1f00a1", problem="kein Ton über „Bus“")
    line = capsys.readouterr().err
    told = json.loads(line)
    assert list(told) == ["timestamp", "level", "event", "lock", "problem"]
    assert told["timestamp"].endswith("Z")
    assert (told["level"], told["event"], told["problem"]) == (
        "warning",
        "lock has a problem",
        "kein Ton über „Bus“",
    )
    assert "über" in line


@LOGS
def test_a_line_is_logfmt_on_a_terminal_or_where_that_is_wanted(
    module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module.configure_log(log_format="logfmt")
    structlog.get_logger().info("committed", pages=3, is_latest=True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    structlog.reset_defaults()
    module.configure_log()
    structlog.get_logger().info("committed", pages=3, is_latest=True)
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("timestamp=20") and line.endswith(
            "level=info event=committed pages=3 is_latest=true"
        )


@LOGS
@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_no_transponder_no_record_and_no_secret_is_told(
    module: ModuleType, log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module.configure_log(logging.DEBUG, log_format)
    log = structlog.get_logger()
    log.debug("a", uid=UID, raw=UID.to_bytes(8, "big"), lock="1f00a1")
    log.error("b", why=UID.to_bytes(8, "big"), token="wlt_secret", credential=f"{UID:016x}")
    told = capsys.readouterr().err
    assert "1f00a1" in told
    for text in (str(UID), f"{UID:x}", "secret", repr(UID.to_bytes(8, "big"))[2:-1]):
        assert text not in told


def test_the_sink_does_not_tell_what_an_unforeseen_error_says(capsys: pytest.CaptureFixture[str]) -> None:
    cloud_sink.log.configure_log()
    try:
        raise ValueError(f"transponder {UID}")
    except ValueError as error:
        structlog.get_logger().critical("a thread failed", exc_info=error)
    assert str(UID) not in capsys.readouterr().err


def test_what_uvicorn_says_comes_in_the_portals_lines(capsys: pytest.CaptureFixture[str]) -> None:
    portal.log.configure_log()
    logging.getLogger("uvicorn.error").warning("port %s is taken", 8080)
    logging.getLogger("uvicorn.error").info("not worth a line")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "port 8080 is taken"
    assert json.loads(line)["source"] == "uvicorn.error"
