"""Values that are costly to make and may be a little old: kept for a while, and only so many of them."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Thread-safe. `clock`: seconds, monotonic."""

    def __init__(self, most: int, age_s: int, clock: Callable[[], float]) -> None:
        """`most`: values kept at once, the one put first goes first. `age_s`: older ones aren't given out."""
        self._most = most
        self._age_s = age_s
        self._clock = clock
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, age_s: int | None = None) -> V | None:
        """Return what is kept under a key, None if there is nothing or it is too old (`age_s`: than this)."""
        with self._lock:
            found = self._values.get(key)
            if found is None or self._clock() - found[0] > (self._age_s if age_s is None else age_s):
                return None
            return found[1]

    def put(self, key: K, value: V) -> V:
        """Keep a value and return it."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = (self._clock(), value)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value
