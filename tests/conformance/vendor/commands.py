"""Commands by token: each token is executed once, also over a power cut."""

from collections.abc import Callable
from typing import Protocol

CLEAR_FAULTS, SELF_TEST, REBOOT = 1, 2, 3
OK, REFUSED, FAILED, RUNNING = 0, 1, 2, 0xFFFF
ACCEPTED, BAD_VALUE, BUSY = 0, 3, 6
_SELF_TEST_S = 0.3


class Device(Protocol):
    """What a command works on."""

    now: Callable[[], float]

    @property
    def in_mid_cycle(self) -> bool: ...

    def clear_faults(self) -> None: ...

    def power_up(self) -> None: ...


class Commands:
    """The last command: its token, itself and its result."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.token = 0
        self.command = 0
        self._result = OK
        self._ends_at = 0.0
        self.reboot_due = False

    @property
    def result(self) -> int:
        if self._result == RUNNING and self.command == SELF_TEST and self._device.now() >= self._ends_at:
            self._result = OK
        return self._result

    def give(self, token: int, command: int) -> int:
        """Return 0 or the exception's code. A token that is already the last one does nothing."""
        if token == 0:
            return BAD_VALUE
        if token == self.token:
            return ACCEPTED
        if self.result == RUNNING:
            return BUSY
        self.token, self.command = token, command
        self._result = self._execute(command)
        return ACCEPTED

    def power_up(self) -> None:
        if self.result == RUNNING:
            self._result = OK if self.reboot_due else FAILED
        self.reboot_due = False

    def after_answer(self) -> None:
        """A reboot answers first."""
        if self.reboot_due:
            self._device.power_up()

    def _execute(self, command: int) -> int:
        if command == CLEAR_FAULTS:
            self._device.clear_faults()
            return OK
        if command == SELF_TEST:
            self._ends_at = self._device.now() + _SELF_TEST_S
            return RUNNING
        if command == REBOOT and not self._device.in_mid_cycle:
            self.reboot_due = True
            return RUNNING
        return REFUSED
