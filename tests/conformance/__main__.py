"""`python -m tests.conformance --seeds 50 --start 1`: the real agent against a second vendor's controllers.

Prints what each run did; what the agent did wrong, with theme and seed, which repeat the run's draws (not its timing).
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.conformance.run import Report, Run
from tests.conformance.theme import THEMES, Theme

_MOST_COMPLAINTS = 12


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the agent kept to the map in all runs."""
    options = _parse(arguments)
    themes = [THEMES[name] for name in options.theme or THEMES]
    failed = 0
    for number in range(options.seeds):
        seed = options.start + number
        theme = themes[number % len(themes)]
        report = _run(theme, seed, options.keep)
        print(report, flush=True)
        for complaint in report.complaints[:_MOST_COMPLAINTS]:
            print(f"  {complaint}", flush=True)
        if report.complaints:
            failed += 1
            print(f"  {len(report.complaints)} complaints; the agent's last words:\n{report.log}", flush=True)
    print(f"{options.seeds} runs, {failed} failed")
    return 1 if failed else 0


def _run(theme: Theme, seed: int, keep: Path | None) -> Report:
    if keep is not None:
        return Run(theme, seed, keep / f"{theme.name}-{seed}".replace(" ", "-")).execute()
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        return Run(theme, seed, Path(directory)).execute()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(THEMES), help="number of runs")
    parser.add_argument("--start", type=int, default=1, help="first seed")
    parser.add_argument("--theme", action="append", choices=list(THEMES), help="only this theme (repeatable)")
    parser.add_argument("--keep", type=Path, help="keep everything of each run in a directory below this one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
