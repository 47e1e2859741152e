"""`portal serve` as a process: it says where it listens, believes proxies that it knows, and ends in an orderly way."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from portal.accounts.book import Accounts
from portal.cli import app
from portal.config import load_config
from portal.roles import Role
from tests.support.ledger import Ledger
from tests.support.live_stream import listening
from tests.support.portal import write_sink_config
from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

_SERVE = "from portal.cli import main; main()"


@pytest.fixture
def config(tmp_path: Path, ledger: Ledger) -> Path:
    write_sink_config(tmp_path, ledger.url)
    path = tmp_path / "portal.toml"
    port = free_port()
    path.write_text(
        f'[web]\nport = {port}\npublic_url = "https://portal.example.org"\ntrusted_proxies = ["127.0.0.1"]\n'
        '[limits]\nlink_per_address = "1/hour"\n'
    )
    return path


@contextmanager
def serving(config: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _SERVE, "serve", "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = load_config(config).web.port
        wait_until(lambda: is_listening(port), timeout_s=60, what="the portal to listen")
        yield process
    finally:
        process.kill()
        process.wait(30)
        if process.stderr is not None:
            process.stderr.close()


def test_it_says_where_it_is_and_ends_its_streams_when_told_to(config: Path) -> None:
    settings = load_config(config)
    accounts = Accounts(settings.accounts)
    accounts.prepare()
    token = accounts.tokens.add("test", Role.READER, 1, "test")
    accounts.close()
    headers = {"Authorization": f"Bearer {token}", "Host": "portal.example.org"}
    with (
        serving(config) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{settings.web.port}", headers=headers) as client,
        listening(client) as stream,
    ):
        assert stream.next()["event"] == "hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert stream.next() == {"event": "end"}
        assert process.stderr is not None
        said = process.stderr.read()
    assert said == f"portal: https://portal.example.org (listens on http://127.0.0.1:{settings.web.port})\n"


def test_addresses_are_those_that_a_known_proxy_tells(config: Path) -> None:
    settings = load_config(config)
    with serving(config), httpx.Client(base_url=f"http://127.0.0.1:{settings.web.port}") as client:

        def ask(path: str, address: str) -> int:
            forwarded = {
                "X-Forwarded-For": address,
                "X-Forwarded-Proto": "https",
                "Host": "portal.example.org",
            }
            return client.get(path, headers=forwarded).status_code

        guesses = [
            "203.0.113.7",
            "203.0.113.7",
            "203.0.113.8",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:0:1::1",
        ]
        assert [ask("/h/guess", address) for address in guesses] == [404, 429, 404, 404, 429, 404]
        assert ask("/metrics", "203.0.113.7") == 404, "figures are for this machine"
        assert client.get("/metrics", headers={"Host": "127.0.0.1"}).status_code == 200


def test_a_thread_that_dies_ends_the_process_to_be_started_anew(config: Path, tmp_path: Path) -> None:
    broken = "import portal.live_source as s; s.record_event = None; s.SinkSource.poll = lambda self: 1 // 0;"
    command = f"{broken} from portal.cli import app; app()"
    process = subprocess.run(
        [sys.executable, "-c", command, "serve", "--config", str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 70
    assert "a thread died: ZeroDivisionError" in process.stderr


def test_a_port_that_another_program_has_is_said_to_be_taken(config: Path) -> None:
    port = load_config(config).web.port
    with socket.create_server(("127.0.0.1", port)):
        result = CliRunner().invoke(app, ["serve", "--config", str(config)])
    assert result.exit_code == 78
    assert f"can't listen on 127.0.0.1:{port}: Address already in use" in result.stderr
