"""A good configuration, to be spoilt by tests."""

from pathlib import Path

GOOD = """
[gateway]
id = "gw-0001"
site = "site-1"
signing_key = "gateway.pem"
[spool]
path = "spool.db"
[mqtt]
host = "broker.example.org"
[[buses]]
name = "yard"
kind = "rtu"
device = "/dev/ttyUSB0"
[[buses]]
name = "street"
kind = "tcp"
host = "192.0.2.7"
[[locks]]
serial = "1f00a1"
bus = "yard"
unit = 1
[[locks]]
serial = "1f00b1"
bus = "street"
unit = 9
driver = "counter-1"
function = 4
chambers = [{ number = 1, address = 0, width = 16, volume_ml = 5000 }]
"""


def write(directory: Path, text: str) -> Path:
    """Write a configuration into a directory and return the file."""
    file = directory / "agent.toml"
    file.write_text(text)
    return file
