"""Orders from the cloud: what makes one whole."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from wastelock.orders import MOST_ENTRIES, AccessEntry, Command, Desired, DesiredLock

AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
COMMAND: dict[str, Any] = {
    "id": "c-1",
    "lock": "1f00a3",
    "action": "reboot",
    "issued_at": AT,
    "expires_at": AT + timedelta(minutes=5),
}


def test_a_command_survives_the_wire() -> None:
    command = Command(**COMMAND, attempt=3)
    assert Command.model_validate_json(command.to_json()) == command


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "enable_chambers"},
        {"enable_mask": 3},
        {"action": "enable_chambers", "enable_mask": 16},
        {"expires_at": AT},
        {"id": "with space"},
        {"attempt": 0},
        {"action": "open_sesame"},
        {"lock": "1F00A3"},
    ],
)
def test_a_command_that_is_not_whole_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Command(**{**COMMAND, **changed})


def test_an_access_list_comes_with_its_version_and_within_what_controllers_take() -> None:
    entry = AccessEntry(uid="4a2b3c4d")
    assert DesiredLock(access_list_version=1, access_list=()).access_list == ()
    for wrong in (
        {"access_list": (entry,)},
        {"access_list_version": 4},
        {"access_list_version": 0, "access_list": (entry,)},
        {"access_list_version": 4, "access_list": (entry,) * (MOST_ENTRIES + 1)},
    ):
        with pytest.raises(ValidationError):
            DesiredLock.model_validate(wrong)


def test_a_desired_state_survives_the_wire() -> None:
    desired = Desired(revision=7, at=AT, locks={"1f00a3": DesiredLock(enable_mask=1, poll_interval_s=5)})
    assert Desired.model_validate_json(desired.to_json()) == desired
