"""The broker's access rules, written out for each user: no patterns, so that no name can choose its rights."""

from collections.abc import Iterable, Mapping

from cloud_sink.authority.register import Gateway
from wastelock.topics import (
    ALL_DOWN,
    ALL_FEEDS,
    ALL_IDENTITY_ANSWERS,
    ALL_IDENTITY_REQUESTS,
    ALL_STATES,
    ALL_UP,
    SINK_STATE,
    GatewayTopics,
)

_HEAD = """\
# Made by `cloud-sink acl` from the authority's register; what is changed here by hand is gone at the next change there.
# A user name is the common name of a client's certificate. Whatever isn't allowed here is forbidden.
"""
# What each program of the cloud may do. A broker is no user.
_ROLES: Mapping[str, tuple[str, ...]] = {
    "broker": (),
    "sink": (f"read {ALL_UP}", f"read {ALL_STATES}", f"readwrite {ALL_DOWN}", f"readwrite {SINK_STATE}"),
    "feed": (f"write {ALL_FEEDS}",),
    "backend": (f"read {ALL_FEEDS}",),
    "authority": (f"read {ALL_IDENTITY_REQUESTS}", f"write {ALL_IDENTITY_ANSWERS}"),
}


def write_rules(gateways: Iterable[Gateway], programs: Iterable[tuple[str, str]]) -> str:
    """Return the whole file for mosquitto's `acl_file`. `programs`: (name, role) of those that are no gateways."""
    blocks = [_block(each.id, _gateway_rules(each)) for each in gateways if each.state == "active"]
    blocks += [_block(name, _ROLES[role]) for name, role in programs if _ROLES[role]]
    return "\n".join([_HEAD, *blocks])


def _gateway_rules(gateway: Gateway) -> tuple[str, ...]:
    topics = GatewayTopics(gateway.site, gateway.id)
    return (
        f"write {topics.all_up}",
        f"readwrite {topics.all_states}",
        f"read {topics.all_down}",
        f"read {SINK_STATE}",
    )


def _block(user: str, rules: Iterable[str]) -> str:
    return "\n".join([f"user {user}", *(f"topic {rule}" for rule in rules), ""])
