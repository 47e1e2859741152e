"""Memory of processes over a long run: sampled, and judged flat or not.

A leak goes on for as long as there is work; what else moves a process's memory comes to rest. So the samples of a life
are judged from its end: the medians of its last two thirds of the time are compared, and the slope of a line through
them (Theil and Sen's: the median of the slopes between any two samples, which no outlier moves) is carried on for a
day. What is left to noise, as measured in the processes themselves:

cyclic garbage     Python looks for old one after some 85,000 new objects: the sink takes up to 10 MiB until it has done
                   so for the first time (4 minutes of an evening at speed 60), and uses them again ever after
SQLite             the agent's page cache grows with the spool up to 2 MiB; each checkpoint and each run begins anew
glibc              gives back late, in an arena for each thread: each of the first renewals leaves 0.1 MiB more of it
                   free, at the tenth nothing; a batch after an outage is larger than others
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench.usage import MIB, memory

NOISE_MIB = 1.0
NOISE_FILES = 2
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process and its children held at one instant of the day (hours since it began), in MiB.

    `own_mib`: of PSS what belongs to no file; only that is judged, for it isn't moved by others who share a library.
    `files`: how many are open, sockets included.
    """

    at_h: float
    pid: int
    pss_mib: float
    rss_mib: float
    own_mib: float
    files: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`grew_mib`, `more_files`: from the second third of the time to the last; `per_day_mib`: the slope over both."""

    program: str
    samples: int
    from_h: float
    until_h: float
    grew_mib: float
    per_day_mib: float
    more_files: float

    @property
    def flat(self) -> bool:
        return (
            self.grew_mib <= NOISE_MIB
            and self.per_day_mib <= 2 * NOISE_MIB
            and self.more_files <= NOISE_FILES
        )

    def __str__(self) -> str:
        return (
            f"{self.program} is {'flat' if self.flat else 'NOT flat'}: {self.samples} samples from {self.from_h:.1f} h "
            f"to {self.until_h:.1f} h, {self.grew_mib:+.2f} MiB from the second third to the last one, "
            f"{self.per_day_mib:+.2f} MiB a day; {self.more_files:+g} open files"
        )


def take_sample(at_h: float, pid: int) -> Sample | None:
    """Measure a process together with those that it has started; None if it ended meanwhile."""
    try:
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        found = [memory(one) for one in family]
        files = sum(1 for one in family for _ in Path(f"/proc/{one}/fd").iterdir())
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, KeyError):
        return None
    pss, rss, own = (sum(sizes) / MIB for sizes in zip(*((m.pss, m.rss, m.own) for m in found), strict=True))
    return Sample(at_h, pid, pss, rss, own, files)


def last_life(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the process that ran last."""
    return [sample for sample in samples if sample.pid == samples[-1].pid]


def judge(program: str, samples: Sequence[Sample]) -> Verdict:
    """Judge the samples of one life; needs some of each third of it."""
    begins, ends = samples[0].at_h, samples[-1].at_h
    third_h = (ends - begins) / 3
    middle = [sample for sample in samples if begins + third_h <= sample.at_h < begins + 2 * third_h]
    late = [sample for sample in samples if sample.at_h >= begins + 2 * third_h]
    return Verdict(
        program=program,
        samples=len(samples),
        from_h=begins,
        until_h=ends,
        grew_mib=median(each.own_mib for each in late) - median(each.own_mib for each in middle),
        per_day_mib=24 * _slope([(each.at_h, each.own_mib) for each in middle + late]),
        more_files=median(each.files for each in late) - median(each.files for each in middle),
    )


def at_quarters(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples nearest to the beginning, the quarter points and the end of this time."""
    begins, ends = samples[0].at_h, samples[-1].at_h
    points = [begins + (ends - begins) * n / QUARTERS for n in range(QUARTERS + 1)]
    return [min(samples, key=lambda sample: abs(sample.at_h - point)) for point in points]


def _slope(points: Iterable[tuple[float, float]]) -> float:
    known = list(points)
    slopes = [
        (y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(known) for x2, y2 in known[i + 1 :] if x2 > x1
    ]
    return median(slopes) if slopes else 0.0
