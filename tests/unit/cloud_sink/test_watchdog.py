"""What the sink and the projections tell systemd."""

import socket
import threading
from pathlib import Path
from time import monotonic

import pytest

from cloud_sink.metrics import STUCK_AFTER_S
from cloud_sink.watchdog import notify, notify_in_background


def test_a_stuck_loop_ends_the_watchdogs_peace() -> None:
    stop, told = threading.Event(), list[str]()
    ages_s = [0.0, 0.0, 2 * STUCK_AFTER_S, 0.0]

    def progressed_at() -> float:
        age_s = ages_s.pop(0)
        if not ages_s:
            stop.set()
        return monotonic() - age_s

    notify({"checking": monotonic, "writing": progressed_at}, stop, told.append, every_s=0.001)
    assert told == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_systemd_is_told_through_the_socket_that_it_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        stop = threading.Event()
        notify_in_background({"loop": monotonic}, stop)
        assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
        stop.set()
        assert systemd.recv(100) == b"STOPPING=1"
        for thread in _watchdogs():
            thread.join(10)


def test_nobody_is_told_where_systemd_did_not_start_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify_in_background({}, threading.Event())
    assert _watchdogs() == []


def _watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watchdog"]
