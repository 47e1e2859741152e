"""The server for monitoring, of both programs that have it: whoever misuses it holds up nobody."""

import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

import cloud_sink.metrics_server
import edge_agent.metrics_server
from tests.support.ports import free_port, is_listening
from tests.support.scraping import fetch
from tests.support.waiting import wait_until
from wastelock.monitoring import Address, Answer

SERVERS = pytest.mark.parametrize("module", [edge_agent.metrics_server, cloud_sink.metrics_server])


def answer(path: str, accept: str) -> Answer:
    return Answer(200, "text/plain", f"{path} {accept}".encode())


@contextmanager
def serving(
    module: ModuleType, respond: Callable[[str, str], Answer] = answer, deadline_s: float = 0.5, port: int = 0
) -> Iterator[Any]:
    stop = threading.Event()
    server = module.MetricsServer(Address("127.0.0.1", port), respond, deadline_s)
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def url_of(server: Any) -> str:
    wait_until(lambda: server.address, 5, "the server to listen")
    return f"http://{server.address}/here"


def connect(server: Any) -> socket.socket:
    return socket.create_connection((server.address.host, server.address.port), timeout=10)


def test_the_two_programs_have_the_same_server() -> None:
    assert inspect.getsource(edge_agent.metrics_server) == inspect.getsource(cloud_sink.metrics_server)


@SERVERS
def test_it_answers_with_what_it_was_given_and_listens_no_longer_than_asked(module: ModuleType) -> None:
    with serving(module) as server:
        assert fetch(url_of(server), accept="this") == (200, "text/plain", "/here this")
        address = server.address
    assert not is_listening(address.port)


@SERVERS
def test_clients_that_say_nothing_are_cut_off_and_others_are_served_again(module: ModuleType) -> None:
    with serving(module) as server:
        url = url_of(server)
        silent = [connect(server) for _ in range(module.PLACES + 3)]
        try:
            assert [client.recv(1) for client in silent] == [b""] * len(silent)  # each is cut off
            assert fetch(url)[0] == 200
        finally:
            for client in silent:
                client.close()


@SERVERS
def test_a_client_that_dribbles_its_request_has_no_more_time_than_others(module: ModuleType) -> None:
    with serving(module) as server:
        url = url_of(server)
        with connect(server) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            cut = threading.Event()

            def dribble() -> None:
                try:
                    while not cut.wait(0.05):
                        slow.sendall(b"X-More: 1\r\n")
                except OSError:
                    cut.set()

            thread = threading.Thread(target=dribble)
            thread.start()
            try:
                wait_until(cut.is_set, 10, "the dribbling client to be cut off")
            finally:
                cut.set()
                thread.join(5)
        assert fetch(url)[0] == 200


@SERVERS
def test_never_more_threads_than_places(module: ModuleType) -> None:
    inside, most, let_go = [0], [0], threading.Event()
    guard = threading.Lock()

    def slowly(path: str, accept: str) -> Answer:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        let_go.wait(10)
        with guard:
            inside[0] -= 1
        return answer(path, accept)

    with serving(module, slowly, deadline_s=30) as server:
        url_of(server)
        clients = [connect(server) for _ in range(module.PLACES + 4)]
        try:
            for client in clients:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            wait_until(lambda: inside[0] == module.PLACES, 10, "all places to be taken")
            assert [client.recv(1) for client in clients[module.PLACES :]] == [
                b""
            ] * 4  # there was no place for them
            let_go.set()
            assert all(client.recv(100).startswith(b"HTTP/1.0 200") for client in clients[: module.PLACES])
        finally:
            let_go.set()
            for client in clients:
                client.close()
    assert most[0] == module.PLACES


@SERVERS
def test_an_address_that_is_taken_is_tried_again(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BIND_AGAIN_S", 0.05)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as taken, serving(module, port=port) as server:
        assert server.address is None
        taken.close()
        assert fetch(url_of(server))[0] == 200
        assert server.address == Address("127.0.0.1", port)


@SERVERS
def test_an_ipv6_address_is_served(module: ModuleType) -> None:
    stop = threading.Event()
    server = module.MetricsServer(Address("::1", 0), answer)
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        url = url_of(server)
        assert url.startswith("http://[::1]:")
        assert fetch(url)[0] == 200
    finally:
        stop.set()
        thread.join(5)
