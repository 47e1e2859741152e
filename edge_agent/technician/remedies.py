"""What to do next about a lock that can't be read: one sentence for each error that a bus has."""

from edge_agent.errors import BrokenAnswer, BusError, LineDown, NoAnswer, Refused, WrongController

_REMEDIES: dict[type[BusError], str] = {
    NoAnswer: "is the controller powered, its unit id right, A/B not swapped? `edge-agent scan` tries ids, baud rates "
    "and parities; `edge-agent doctor` looks at the wiring",
    BrokenAnswer: "two controllers with one unit id, a wrong parity or noise on the line: `edge-agent doctor` tells",
    LineDown: "see to the device or connection that it names; a serial device needs the group dialout",
    Refused: "see the controller's manual for what it refuses; try again if it was busy (exception 6)",
    WrongController: "compare type plate and configuration; `edge-agent scan` shows who answers where",
}


def with_remedy(error: BusError) -> str:
    """Return the error's text, and what to do about it."""
    remedy = _REMEDIES.get(type(error))
    return f"{error}\nremedy: {remedy}" if remedy else str(error)
