"""Where a service finds the keys that its configuration names."""

import pytest

from wastelock.credentials import credential_path

GIVEN = "/run/credentials/wastelock-edge-agent.service"


def test_a_key_beside_the_configuration_is_read_from_where_systemd_put_it() -> None:
    found = credential_path("/etc/wastelock/keys/gateway.pem", "/etc/wastelock", GIVEN)
    assert found == f"{GIVEN}/keys_gateway.pem"
    assert credential_path("/etc/wastelock/keys/a.key", "/etc/wastelock/", GIVEN) == f"{GIVEN}/keys_a.key"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/wastelock/gateway.pem",
        "/etc/wastelock/keys/old/gateway.pem",
        "/var/lib/wastelock/keys/gateway.pem",
        "/run/wastelock",
    ],
)
def test_every_other_file_is_read_from_where_it_is(path: str) -> None:
    assert credential_path(path, "/etc/wastelock", GIVEN) == path


@pytest.mark.parametrize("given", [None, ""])
def test_by_hand_a_key_is_read_from_where_it_is(given: str | None) -> None:
    path = "/etc/wastelock/keys/gateway.pem"
    assert credential_path(path, "/etc/wastelock", given) == path
