"""Errors of the edge agent, named by what to do next. Only an entry point catches EdgeAgentError."""

EXIT_CONFIG = 78  # sysexits.h EX_CONFIG: a restart won't help, systemd must not try


class EdgeAgentError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(EdgeAgentError):
    """The configuration can't work: the message names file, key and remedy. A restart won't help."""


class BusError(EdgeAgentError):
    """A transaction on a bus did not give a trustworthy answer. Try again later; nothing was lost."""


class NoAnswer(BusError):
    """The unit stayed silent for the whole answer time."""


class StillRunning(NoAnswer):
    """A command has no result yet. Look again: it is known by its token and won't be executed twice."""


class BrokenAnswer(BusError):
    """Something came back that can't be the answer: CRC, length, unit, function or echo. The line was drained."""


class LineDown(BusError):
    """The serial device or TCP connection itself is gone; it is opened again at the next transaction."""


class UnitResting(BusError):
    """The unit failed too often and is left alone until `until` (monotonic s), so that the others keep their turn."""

    def __init__(self, unit: int, until: float) -> None:
        super().__init__(f"unit {unit} failed repeatedly; it is left alone until its next probe")
        self.until = until


class Refused(BusError):
    """The unit answered with a Modbus exception."""

    def __init__(self, code: int, doing: str) -> None:
        super().__init__(f"{doing}: the controller answered with Modbus exception {code}")
        self.code = code


class WrongController(BusError):
    """Who answers at this address isn't the configured lock, or speaks another map. It is left alone and reported."""


class ClockUntrusted(EdgeAgentError):
    """The gateway's clock isn't set. Wait: what has to carry its time can't be made yet."""


class NotSupported(EdgeAgentError):
    """This lock's controller can't do what was asked. Reject the order; repeating it won't help."""


class SpoolFull(EdgeAgentError):
    """No room for another page. Nothing may be confirmed to a controller until there is."""


class SpoolUnavailable(EdgeAgentError):
    """The spool can't be written now (I/O error, closed). Nothing may be confirmed to a controller."""


class SpoolLent(SpoolUnavailable):
    """A technician's command has the lines, and with them the spool's lock. Wait until it has ended."""


class SpoolCorrupt(EdgeAgentError):
    """The spool's file is damaged; it is set aside and what can be read is salvaged. Start afresh."""


class JournalForked(EdgeAgentError):
    """Spool and ledger tell different stories; a new journal has begun. Start afresh, with cursors as they are now."""


class AgentOutOfReach(EdgeAgentError):
    """The agent runs, but this command can't talk to it. The message says what a person has to do first."""


class TryLater(EdgeAgentError):
    """It can't be done at this moment: the agent is just beginning afresh, or somebody else is at it. Try again."""


class NotAllowed(EdgeAgentError):
    """Nobody may do this by hand. Don't try again."""


class UnknownName(EdgeAgentError):
    """There is no such lock or bus in the configuration. The message lists those that there are."""


class NotHere(EdgeAgentError):
    """What was asked for isn't in this spool. Look at what is: the message says how."""


class JournalGone(EdgeAgentError):
    """A record that was needed isn't in the controller's ring any more. Begin anew from what is there now."""


class MediumFailed(EdgeAgentError):
    """The medium can't be written, or loses what is written to it. Take another; what is complete on it stays."""


class NotReady(EdgeAgentError):
    """What was asked can't be done yet. See to what the message names, then ask again; nothing was changed."""


class NotTaken(EdgeAgentError):
    """This file isn't taken: the message says why, and what would be. Nothing was changed."""


class UntrustedOrder(EdgeAgentError):
    """Nobody whose orders count has sent this. Do nothing of it but raise the alarm."""

    def __init__(self, alarm: str, why: str) -> None:
        super().__init__(why)
        self.alarm = alarm


class AgainstDesired(EdgeAgentError):
    """The desired state would undo this order at once. Wait a moment for a newer one, then reject the order."""


class AnswerRejected(EdgeAgentError):
    """This isn't the answer to what was asked for. Keep the present identity, ask again."""


class CertificateRefused(EdgeAgentError):
    """The broker doesn't take this certificate. Keep the present one, try later, tell somebody."""


class BrokerUnavailable(EdgeAgentError):
    """No session with the broker. Keep the page, try later."""
