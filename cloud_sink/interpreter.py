"""Fits Python's own machinery to programs that hand each other pages of some hundred records."""

import gc
import sys


def tune_interpreter() -> None:
    """Set up a process of several threads that take pages from each other.

    Threads take turns after half a millisecond instead of five: one that waits for the network or the database would
    else stand in line behind one that computes, a hundred times a second.
    """
    sys.setswitchinterval(0.0005)
    tune_collector()


def tune_collector() -> None:
    """Search less often for cycles of garbage.

    The many small objects of a page hold none: looking for some after each 700 of them costs a tenth of all time and
    finds nothing. What is there now (code, keys) is here to stay and isn't looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
