"""The private servers of the suite keep what the other tests rely on."""

import os
import socket
import threading
from pathlib import Path

import psycopg
import pytest

from tests.support.broker import Broker
from tests.support.ports import free_port, is_listening
from tests.support.postgres import Postgres
from tests.support.server import ServerFailed
from tests.support.waiting import WaitedTooLong, wait_until


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def test_broker_keeps_its_port_through_kill_and_restart(broker: Broker) -> None:
    port, pid = broker.port, broker.pid
    broker.kill()
    assert not is_listening(port)
    broker.start()
    assert broker.port == port
    assert broker.pid != pid
    broker.restart()
    assert is_listening(port)


def test_suspended_broker_accepts_but_does_not_answer_and_can_still_be_ended(broker: Broker) -> None:
    broker.suspend()
    assert is_listening(broker.port)  # the kernel accepts for it
    broker.resume()
    assert is_listening(broker.port)
    broker.suspend()  # left so: leaving the fixture must end it all the same


def test_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="no_such_setting"), Broker(tmp_path, ["no_such_setting 1"]):
        pass


def test_server_that_is_stopped_twice_stays_stopped(broker: Broker) -> None:
    broker.stop()
    broker.stop()
    assert not broker.running


def test_postgres_gives_each_test_an_empty_database(postgres: Postgres, postgres_url: str) -> None:
    with _connect(postgres_url) as connection:
        connection.execute("CREATE TABLE t (a int)")
    other = postgres.create_database()
    with _connect(other) as connection:
        row = connection.execute("SELECT to_regclass('t')").fetchone()
    postgres.drop_database(other)
    assert row == (None,)


def test_postgres_keeps_what_was_committed_when_it_is_killed() -> None:
    with Postgres() as server:
        url = server.create_database()
        with _connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS a")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            _connect(url)
        server.start()
        with _connect(url) as connection:
            assert connection.execute("SELECT a FROM t").fetchone() == (7,)
        directory = server.directory
    assert not directory.exists()


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    with socket.create_server(("127.0.0.1", ports[0])):
        assert is_listening(ports[0])
    assert not is_listening(ports[1])


def test_waiting_returns_the_value_as_soon_as_it_is_there() -> None:
    box: list[int] = []
    timer = threading.Timer(0.05, lambda: box.append(os.getpid()))
    timer.start()
    assert wait_until(lambda: box and box[0], 10, "the timer") == os.getpid()
    timer.join()


def test_waiting_too_long_says_what_for() -> None:
    with pytest.raises(WaitedTooLong, match=r"0\.01 s for the moon; last answer: \[\]"):
        wait_until(list, 0.01, lambda: "the moon")
