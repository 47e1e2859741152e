"""What a service manager does for the programs of a chain: whoever is down is started again, after a moment."""

import time
from collections import Counter
from contextlib import suppress

from demo.chain import Chain
from demo.process import Child, ProcessFailed

RESTART_AFTER_S = 0.3
EXIT_CONFIG = 78


class NeverAgain(AssertionError):
    """A program ended with the exit code that tells a service manager not to start it again."""


class Supervisor:
    """Call `tick` often. `starts` counts starts by program, `ended` unexpected ends by program and exit code."""

    def __init__(self, chain: Chain) -> None:
        self.starts: Counter[str] = Counter()
        self.ended: Counter[tuple[str, int]] = Counter()
        self._chain = chain
        self._back_at: dict[str, float] = {}
        self._expected: set[str] = set()

    def kill(self, child: Child, back_after_s: float) -> None:
        """kill -9; it stays down for so long."""
        if child.running:
            child.kill()
        self._keep_down(child, back_after_s)

    def stop(self, child: Child, back_after_s: float) -> None:
        """End the program in order; it stays down for so long. One that doesn't end is killed, as systemd would."""
        if child.running:
            with suppress(ProcessFailed):
                child.stop()
        self._keep_down(child, back_after_s)

    def bring_back(self, child: Child) -> None:
        """Start the program now if it is down, wake it up if it is frozen."""
        if child.running:
            child.resume()
        else:
            self._start(child)

    def expect_death(self, child: Child) -> None:
        """The program will be killed by its fate: that is no failure of its own."""
        self._expected.add(child.name)

    def tick(self) -> None:
        """Start whoever is down and whose time has come. NeverAgain if a program asked not to be started."""
        now = time.monotonic()
        for child in self._chain.children:
            if child.running:
                continue
            if child.name not in self._back_at:
                self._note_end(child)
                self._back_at[child.name] = now + RESTART_AFTER_S
            elif now >= self._back_at[child.name]:
                self._start(child)

    def _keep_down(self, child: Child, for_s: float) -> None:
        self._back_at[child.name] = time.monotonic() + for_s

    def _note_end(self, child: Child) -> None:
        code = child.wait_ended(1)
        if code == EXIT_CONFIG:
            raise NeverAgain(f"{child.name} ended with exit code {code}:\n{child.log_tail()}")
        if child.name in self._expected and code < 0:
            self._expected.discard(child.name)
        else:
            self.ended[child.name, code] += 1

    def _start(self, child: Child) -> None:
        self._back_at.pop(child.name, None)
        self.starts[child.name] += 1
        if child is self._chain.broker:
            self._chain.start_broker()
        elif child is self._chain.simulator:
            self._chain.start_simulator()
        else:
            child.start()
