"""What the sink says of its connection to the broker."""

from pathlib import Path

from tests.support.fake_gateway import FakeGateway
from tests.support.ports import free_port
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until


def test_a_broker_that_cannot_be_reached_is_told_once_with_a_remedy(
    tmp_path: Path, sqlite_url: str, gateway: FakeGateway
) -> None:
    sink = SinkProcess(tmp_path, sqlite_url, free_port(), [gateway])
    sink.start(connected=False)
    try:
        wait_until(lambda: "broker can't be reached" in sink.log, 15, "the warning")
        assert sink.running
        assert "is it running, is this its address" in sink.log
        assert sink.log.count("broker can't be reached") == 1
    finally:
        sink.kill()
