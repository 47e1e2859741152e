"""Topics: whatever is built can be parsed, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wastelock.registers import lock_id
from wastelock.topics import (
    ALL_GATEWAY_STATES,
    ALL_LOCK_STATES,
    ALL_PAGES,
    ALL_RESULTS,
    ALL_TELEMETRY,
    RESERVED_SITES,
    SINK_STATE,
    GatewayTopics,
    InvalidTopic,
    ParsedTopic,
    feed,
    parse_gateway_topic,
    shared,
)

names = st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z").filter(lambda name: name not in RESERVED_SITES)
serials = st.integers(0, 2**64 - 1)


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT's `+`, written down once more."""
    levels, parts = topic_filter.split("/"), topic.split("/")
    return len(levels) == len(parts) and all(a in ("+", b) for a, b in zip(levels, parts, strict=True))


@given(names, names, serials)
def test_every_topic_that_is_built_can_be_parsed(site: str, gateway: str, serial: int) -> None:
    topics, lock = GatewayTopics(site, gateway), lock_id(serial)
    built = {
        "up/page": topics.page, "up/result": topics.result, "up/telemetry": topics.telemetry,
        "state/gateway": topics.gateway_state, "down/receipt": topics.receipt, "down/resend": topics.resend,
        "down/command": topics.command, "down/desired": topics.desired,
    }  # fmt: skip
    for channel, topic in built.items():
        assert topic == f"wl/1/{site}/{gateway}/{channel}"
        assert parse_gateway_topic(topic) == ParsedTopic(site, gateway, channel)
    assert parse_gateway_topic(topics.lock_state(lock)) == ParsedTopic(site, gateway, "state/lock", lock)


@given(names, names, serials)
def test_each_filter_matches_its_own_topic_and_no_other(site: str, gateway: str, serial: int) -> None:
    topics = GatewayTopics(site, gateway)
    pairs = {
        ALL_PAGES: topics.page, ALL_GATEWAY_STATES: topics.gateway_state, ALL_TELEMETRY: topics.telemetry,
        ALL_RESULTS: topics.result, ALL_LOCK_STATES: topics.lock_state(lock_id(serial)),
    }  # fmt: skip
    everything = [
        *pairs.values(),
        topics.receipt,
        topics.resend,
        topics.command,
        topics.desired,
        SINK_STATE,
        feed(site),
    ]
    for topic_filter, own in pairs.items():
        assert [topic for topic in everything if matches(topic_filter, topic)] == [own]


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "a\n", "a\0", "x" * 65, "$SYS"])
def test_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    for build in (lambda: GatewayTopics(name, "gw"), lambda: GatewayTopics("site", name), lambda: feed(name)):
        with pytest.raises(InvalidTopic, match="1 to 64 characters"):
            build()


@pytest.mark.parametrize("site", sorted(RESERVED_SITES))
def test_site_that_collides_with_the_tree_is_refused(site: str) -> None:
    with pytest.raises(InvalidTopic, match="reserved"):
        GatewayTopics(site, "gw")
    with pytest.raises(InvalidTopic):
        parse_gateway_topic(f"wl/1/{site}/gw/up/page")


@pytest.mark.parametrize(
    "topic",
    [
        "", "wl/1", "wl/2/site/gw/up/page", "wl/1/site/gw/up/pages", "wl/1/site/gw/up/page/", "wl/1/site/gw/up/page\n",
        "wl/1/site/gw/up", "/wl/1/site/gw/up/page", "wl/1/si te/gw/up/page", "wl/1/site//up/page", "wl/1/sink/state",
        "wl/1/site/gw/state/lock/", "wl/1/site/gw/state/lock/1F00A3", "wl/1/site/gw/state/lock/001f00a3",
        "wl/1/site/gw/state/lock/1f00", "wl/1/site/gw/state/gateway/1f00a3",
    ],
)  # fmt: skip
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(InvalidTopic, match="isn't a gateway's topic"):
        parse_gateway_topic(topic)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for topic in (text, f"wl/1/{text}", f"wl/1/site/{text}/up/page"):
        try:
            parsed = parse_gateway_topic(topic)
        except InvalidTopic:
            continue
        assert topic.startswith(f"wl/1/{parsed.site}/{parsed.gateway}/{parsed.channel}")


def test_shared_subscription_of_several_sinks() -> None:
    assert shared("sinks", ALL_PAGES) == "$share/sinks/wl/1/+/+/up/page"
    with pytest.raises(InvalidTopic):
        shared("a/b", ALL_PAGES)
