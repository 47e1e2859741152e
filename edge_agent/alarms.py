"""What is wrong now, for people: kept by name, logged when it begins and ends, sent with the gateway's birth."""

import threading

import structlog

_log = structlog.get_logger(__name__)
_MAX = 32  # what is reported at once; the log has all


class Alarms:
    """Thread-safe. `version` moves with each change, so that the reporter knows when to tell the cloud."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}
        self.version = 0

    def raise_(self, name: str, text: str) -> None:
        """Something is wrong; the same name replaces its text. Logged once, not each time."""
        with self._lock:
            if self._texts.get(name) == text:
                return
            self._texts[name] = text
            self.version += 1
        _log.error("alarm", alarm=name, what=text)

    def clear(self, name: str) -> None:
        """It is no longer so."""
        with self._lock:
            if self._texts.pop(name, None) is None:
                return
            self.version += 1
        _log.info("alarm is over", alarm=name)

    def texts(self) -> tuple[str, ...]:
        """Return `name: text` of what is wrong now, at most 32."""
        with self._lock:
            return tuple(f"{name}: {text}" for name, text in sorted(self._texts.items())[:_MAX])

    def names(self) -> tuple[str, ...]:
        """Return what is wrong now, by name only."""
        with self._lock:
            return tuple(sorted(self._texts))
