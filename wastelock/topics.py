"""Builds and parses every MQTT topic of the wire contract; no other module knows their shape (design 3)."""

import re
from dataclasses import dataclass

from wastelock.registers import LOCK_ID_PATTERN

_ROOT = "wl/1"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_GATEWAY_TOPIC = re.compile(
    r"wl/1/(?P<site>[A-Za-z0-9._-]{1,64})/(?P<gateway>[A-Za-z0-9._-]{1,64})/"
    rf"(?P<channel>up/page|up/result|up/telemetry|up/identity|state/gateway|state/lock/(?P<lock>{LOCK_ID_PATTERN})"
    r"|down/receipt|down/resend|down/command|down/desired|down/identity)\Z"
)

SINK_STATE = f"{_ROOT}/sink/state"
ALL_PAGES = f"{_ROOT}/+/+/up/page"
ALL_GATEWAY_STATES = f"{_ROOT}/+/+/state/gateway"
ALL_LOCK_STATES = f"{_ROOT}/+/+/state/lock/+"
ALL_TELEMETRY = f"{_ROOT}/+/+/up/telemetry"
ALL_RESULTS = f"{_ROOT}/+/+/up/result"
ALL_IDENTITY_REQUESTS = f"{_ROOT}/+/+/up/identity"

# What access rules are made of.
ALL_UP = f"{_ROOT}/+/+/up/#"
ALL_STATES = f"{_ROOT}/+/+/state/#"
ALL_DOWN = f"{_ROOT}/+/+/down/#"
ALL_IDENTITY_ANSWERS = f"{_ROOT}/+/+/down/identity"
ALL_FEEDS = f"{_ROOT}/feed/#"

# Names that would collide with a site in the tree above.
RESERVED_SITES = frozenset({"sink", "feed"})


class InvalidTopic(ValueError):
    """Not a topic of this contract, or a name that can't stand in one."""


@dataclass(frozen=True, slots=True)
class GatewayTopics:
    """All topics of one gateway."""

    site: str
    gateway: str

    def __post_init__(self) -> None:
        check_name("site", self.site)
        check_name("gateway", self.gateway)
        if self.site in RESERVED_SITES:
            raise InvalidTopic(f"site {self.site!r} is reserved; choose another name")

    @property
    def _base(self) -> str:
        return f"{_ROOT}/{self.site}/{self.gateway}"

    @property
    def page(self) -> str:
        return f"{self._base}/up/page"

    @property
    def result(self) -> str:
        return f"{self._base}/up/result"

    @property
    def telemetry(self) -> str:
        return f"{self._base}/up/telemetry"

    @property
    def gateway_state(self) -> str:
        return f"{self._base}/state/gateway"

    def lock_state(self, lock: str) -> str:
        return f"{self._base}/state/lock/{lock}"

    @property
    def receipt(self) -> str:
        return f"{self._base}/down/receipt"

    @property
    def resend(self) -> str:
        return f"{self._base}/down/resend"

    @property
    def command(self) -> str:
        return f"{self._base}/down/command"

    @property
    def desired(self) -> str:
        return f"{self._base}/down/desired"

    @property
    def identity_request(self) -> str:
        return f"{self._base}/up/identity"

    @property
    def identity_answer(self) -> str:
        return f"{self._base}/down/identity"

    @property
    def pages_file(self) -> str:
        """What its files of pages are signed under; nothing is ever sent on it."""
        return f"{self._base}/file/pages"

    @property
    def receipts_file(self) -> str:
        """What receipts in a file are signed under, by an order key; nothing is ever sent on it."""
        return f"{self._base}/file/receipts"

    @property
    def protocol_file(self) -> str:
        """What its protocols are signed under; nothing is ever sent on it."""
        return f"{self._base}/file/protocol"

    @property
    def all_up(self) -> str:
        """Filter of everything that only this gateway may say."""
        return f"{self._base}/up/#"

    @property
    def all_states(self) -> str:
        """Filter of its retained states."""
        return f"{self._base}/state/#"

    @property
    def all_down(self) -> str:
        """Filter of everything that is said to it."""
        return f"{self._base}/down/#"


@dataclass(frozen=True, slots=True)
class ParsedTopic:
    """`channel` is what follows the gateway, without the lock: `up/page`, `state/lock`, `down/receipt` …"""

    site: str
    gateway: str
    channel: str
    lock: str | None = None


def parse_gateway_topic(topic: str) -> ParsedTopic:
    """Return who a topic belongs to and what it carries, or raise InvalidTopic."""
    match = _GATEWAY_TOPIC.match(topic)
    if match is None or match["site"] in RESERVED_SITES:
        raise InvalidTopic(f"{topic!r} isn't a gateway's topic of contract version 1")
    channel = "state/lock" if match["lock"] else match["channel"]
    return ParsedTopic(match["site"], match["gateway"], channel, match["lock"])


def feed(site: str) -> str:
    """Return the topic on which a billing backend gets this site's committed pours."""
    check_name("site", site)
    return f"{_ROOT}/feed/{site}"


def shared(group: str, topic_filter: str) -> str:
    """Return the MQTT 5 shared subscription of a filter, for several sinks at once."""
    check_name("group", group)
    return f"$share/{group}/{topic_filter}"


def check_name(what: str, name: str) -> None:
    """Raise InvalidTopic unless `name` can stand in a topic: 1..64 of letters, digits, dot, underscore, hyphen."""
    if not _NAME.match(name):
        raise InvalidTopic(f"{what} {name!r}: expected 1 to 64 characters out of A-Z a-z 0-9 . _ -")
