"""Linux gives up writing to the gateway's disk, for real: an ext4 that meets an error while the agent runs on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.controller import Controller
from tests.support.modbus_peers import TcpPeer
from tests.support.mqtt import TestClient
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import TOPICS
from tests.unit.edge_agent.installation import Installation
from tests.unit.edge_agent.ledger import Ledger
from wastelock.messages import GatewayState, Telemetry

AGENT = """
import sys
from edge_agent import cli
from edge_agent.machine import keeper
keeper._LOOK_S = 0.5
sys.argv = ["edge-agent", "run", "--config", sys.argv[1]]
cli.main()
"""


def run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr  # e2fsck: 1, errors were corrected
    return done.stdout


class Disk:
    """A small ext4 on a loop device, mounted as Linux' installers do: the first error makes it read-only."""

    def __init__(self, directory: Path) -> None:
        self.image, self.mount = directory / "image", directory / "disk"
        self.mount.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        run("mkfs.ext4", "-q", self.image)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        run("mount", "-o", "loop,errors=remount-ro", self.image, self.mount)
        try:
            yield self.mount
        finally:
            run("umount", self.mount)

    def fail(self) -> None:
        """Let the file system meet an error."""
        device = run("losetup", "-j", self.image).partition(":")[0].rpartition("/")[2]
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def check(self) -> None:
        """What a reboot does before it mounts a disk."""
        run("e2fsck", "-fy", self.image)


@contextmanager
def agent(installation: Installation) -> Iterator[None]:
    with installation.log.open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", AGENT, str(installation.config)], stderr=log)
    try:
        yield
        assert process.poll() is None, installation.log.read_text()
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.long
def test_a_disk_that_turns_read_only_is_told_confirms_nothing_and_loses_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    disk, controller, port = Disk(tmp_path), Controller(), free_port()
    installation = Installation(tmp_path, broker.port, port)
    text = installation.config.read_text().replace('path = "spool.db"', 'path = "disk/spool.db"')
    installation.config.write_text(text)
    with (
        TcpPeer({1: controller}, port),
        Ledger(broker.port) as ledger,
        TestClient(broker.port, "eyes") as eyes,
    ):
        eyes.subscribe(TOPICS.gateway_state)
        eyes.subscribe(TOPICS.telemetry)

        def alarms() -> tuple[str, ...]:
            told = [message.payload for message in eyes.received if message.topic == TOPICS.gateway_state]
            return GatewayState.model_validate_json(told[-1]).alarms if told else ()

        def telemetry() -> list[Telemetry]:
            payloads = [message.payload for message in eyes.received if message.topic == TOPICS.telemetry]
            return [Telemetry.model_validate_json(payload) for payload in payloads]

        with disk.mounted(), agent(installation):
            controller.pour()
            wait_until(lambda: controller.confirmed == controller.newest == 1, 20, "the first pour's custody")
            wait_until(lambda: len(telemetry()) > 0 and telemetry()[-1].machine is not None, 20, "telemetry")
            disk.fail()
            wait_until(lambda: any(text.startswith("disk read-only: ") for text in alarms()), 20, "the alarm")
            for _ in range(5):
                controller.pour()
            reads = controller.newest
            wait_until(
                lambda: "SpoolUnavailable" in installation.log.read_text(), 20, "a refusal to keep them"
            )
            assert controller.confirmed == 1, "confirmed, though nothing can be written"
            assert "the agent does less for the machine's sake" in installation.log.read_text()
        disk.check()
        with disk.mounted(), agent(installation):
            wait_until(
                lambda: controller.confirmed == controller.newest == reads, 20, "all of them to be confirmed"
            )
            wait_until(lambda: len(ledger.record_ids()) == reads, 20, "all of them in the ledger")
            wait_until(lambda: alarms() == (), 60, "the alarm's end")
    assert os.path.ismount(disk.mount) is False


def test_an_agent_on_a_disk_that_is_read_only_from_the_start_is_tried_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    installation = Installation(tmp_path, 1)
    installation.config.write_text(installation.config.read_text().replace('"spool.db"', '"disk/spool.db"'))
    with disk.mounted():
        run("mount", "-o", "remount,ro", disk.mount)
        process = installation.start()
        try:
            assert process.wait(20) == 1, (
                "78 would keep systemd from trying again, and from the reboot that helps"
            )
        finally:
            process.kill()
            process.wait()
    assert "read-only" in installation.log.read_text().lower()
