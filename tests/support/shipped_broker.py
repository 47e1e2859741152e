"""The mosquitto.conf that we ship, run by the real mosquitto: as it is, or edited as its FIELD notes tell."""

import os
import re
import shutil
from pathlib import Path

from tests.support.broker import PROGRAM_PATH
from tests.support.ports import free_port, is_listening
from tests.support.server import ServerFailed, ServerProcess

_CONFIG = Path(__file__).parents[2] / "config"
ACCESS_RULES = _CONFIG / "mosquitto-acl.conf"
SHIPPED = (_CONFIG / "mosquitto.conf").read_text()


class ShippedBroker:
    """mosquitto with a copy of our file; only the port is changed, and as root the user (to write into tmp_path)."""

    def __init__(self, directory: Path, config: str) -> None:
        self.port = free_port()
        self.directory = directory
        self.server = ServerProcess("mosquitto", directory / "mosquitto.log")
        self._config = directory / "mosquitto.conf"
        config = re.sub(r"(?m)^listener (1883|8883)", f"listener {self.port}", config)
        if os.geteuid() == 0:
            config += "user root\n"
        self._config.write_text(config)

    def start(self) -> None:
        program = shutil.which("mosquitto", path=PROGRAM_PATH)
        if program is None:
            raise ServerFailed("mosquitto isn't installed: run `make setup`")
        # In its own directory, for that is where the state file goes as long as FIELD 1 isn't set.
        self.server.start(
            ["env", "-C", str(self.directory), program, "-c", str(self._config)],
            lambda: is_listening(self.port),
        )


def with_field_settings(directory: Path) -> str:
    """Return the shipped file as FIELD 2, 3 and 4 tell a reader to edit it, with its files expected in `directory`."""
    lines = [
        line
        for line in SHIPPED.splitlines()
        if line not in ("listener 1883 127.0.0.1", "allow_anonymous true")
    ]
    return "\n".join([*lines, *field_lines(directory)]) + "\n"


def field_lines(directory: Path) -> list[str]:
    """Return the settings of FIELD 3 and 4, switched on, with their files expected in `directory`."""
    settings = [line[1:] for line in SHIPPED.splitlines() if re.match(r"#[a-z_]+( |$)", line)]
    return [
        line.replace("/etc/mosquitto/certs", str(directory)).replace("/etc/mosquitto", str(directory))
        for line in settings
        if not line.startswith(
            ("persistence_location", "crlfile")
        )  # FIELD 1; a test's authority revokes nothing
    ]
