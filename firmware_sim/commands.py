"""Commands that come over the bus: each token is executed once, also after a power cut."""

from collections.abc import Callable

from firmware_sim.errors import Refusal
from firmware_sim.journal import Journal
from firmware_sim.memory import LastCommand
from wastelock.registers import CommandCode, CommandResult, ExceptionCode

_KNOWN = frozenset(int(code) for code in CommandCode)
_TAKES_S = {CommandCode.CLEAR_FAULTS: 0.0, CommandCode.SELF_TEST: 3.0, CommandCode.REBOOT: 0.0}


class Commands:
    """The last command of one controller."""

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._ends_at_s = 0.0

    @property
    def last(self) -> LastCommand:
        return self._journal.memory.command

    def start(self, token: int, code: int, mid_cycle: bool) -> None:
        """Take a command. The token that is already the last one isn't executed again."""
        if token == 0:
            raise Refusal(ExceptionCode.ILLEGAL_VALUE)
        if token == self.last.token:
            return
        if self.last.result == CommandResult.RUNNING:
            raise Refusal(ExceptionCode.BUSY)
        refused = code not in _KNOWN or (code == CommandCode.REBOOT and mid_cycle)
        if not refused:
            self._ends_at_s = self._now() + _TAKES_S[CommandCode(code)]
        self._keep(token, code, CommandResult.REFUSED if refused else CommandResult.RUNNING)

    def due(self) -> CommandCode | None:
        """Return the command whose time has come, if one runs."""
        if self.last.result != CommandResult.RUNNING or self._now() < self._ends_at_s:
            return None
        return CommandCode(self.last.code)

    def end(self, result: CommandResult) -> None:
        """The command that runs is over."""
        self._keep(self.last.token, self.last.code, result)

    def after_power_up(self) -> None:
        """A command that power cut short has failed."""
        if self.last.result == CommandResult.RUNNING:
            self.end(CommandResult.FAILED)

    def _keep(self, token: int, code: int, result: CommandResult) -> None:
        self._journal.save(command=LastCommand(token, code, result))
