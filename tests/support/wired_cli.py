"""Runs edge-agent as a program whose serial ports are those of tests/support/wired_bus.py: `python -m … ARGUMENTS`.

The units on that line answer within milliseconds, so nobody has to wait for silence as long as in the field.
"""

from edge_agent import cli, line_rtu
from edge_agent.technician import scan_plan
from tests.support.wired_bus import set_port

SILENCE_S = 0.06


def main() -> None:
    """Entry point."""
    line_rtu.open_port = set_port
    vars(line_rtu)["SILENCE_S"] = vars(scan_plan)["SERIAL_ANSWER_S"] = SILENCE_S
    cli.main()


if __name__ == "__main__":
    main()
