"""Errors of the simulator, named by what to do next. Only the entry point catches SimulatorError."""

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: a restart won't help


class SimulatorError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(SimulatorError):
    """Configuration or scenario can't work: the message names file, key and remedy. A restart won't help."""


class StateError(SimulatorError):
    """A controller's stored memory can't be used: another release's, damaged, or not writable. See the file named."""


class IllegalEvent(SimulatorError):
    """Something was asked of the pour cycle that its table doesn't allow in this phase; nothing was changed."""


class Refusal(SimulatorError):
    """The controller answers a request with this Modbus exception and changes nothing."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class UnknownTarget(SimulatorError):
    """An action names a lock, bus, chamber or word that isn't there, or lacks what it needs. Mend the action."""
