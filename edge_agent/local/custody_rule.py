"""The one thing that nobody does by hand, on either side of the local door: to confirm records to a controller."""

from edge_agent.errors import NotAllowed
from wastelock.registers import ACK_ADDRESS, ACK_WORDS

_LAST = ACK_ADDRESS + ACK_WORDS - 1


def forbid_confirming(address: int, count: int) -> None:
    """Raise NotAllowed where a write of `count` words from `address` would touch the confirmation of records."""
    if address <= _LAST and address + count > ACK_ADDRESS:
        raise NotAllowed(
            f"0x{ACK_ADDRESS:04X}..0x{_LAST:04X} confirm records: only the agent does that, when they are on its disk"
        )
