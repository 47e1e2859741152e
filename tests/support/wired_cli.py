"""Runs edge-agent as a program whose serial ports are those of tests/support/wired_bus.py: `python -m … ARGUMENTS`."""

from edge_agent import cli, line_rtu
from tests.support.wired_bus import set_port


def main() -> None:
    """Entry point."""
    line_rtu.open_port = set_port
    cli.main()


if __name__ == "__main__":
    main()
