"""Scrapes a program's figures as Prometheus does, and has promtool judge them."""

import re
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import wait_until

_SERVED = re.compile(r"http://[0-9.:\[\]a-f]+/metrics")
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Figures:
    """One scrape. `families`: names as rules and dashboards write them (`_total`, `_bucket` … included)."""

    text: str
    families: frozenset[str]
    values: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample's value, None if there is no such sample."""
        return self.values.get((name, frozenset(labels.items())))


def served_at(log: Path) -> str:
    """Wait until a program says where it serves its figures; return that URL."""
    found = wait_until(
        lambda: log.exists() and _SERVED.search(log.read_text()), 20, "the address of the metrics"
    )
    assert isinstance(found, re.Match)
    return found[0]


def fetch(url: str, accept: str = "") -> tuple[int, str, str]:
    """Return status, content type and body of a GET."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            return response.status, response.headers["Content-Type"], response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(url: str) -> Figures:
    """Return what is at `/metrics`."""
    status, _, text = fetch(url)
    assert status == 200, text
    return parse(text)


def parse(text: str) -> Figures:
    """Return the figures in a text of Prometheus' format."""
    names, values = set(), {}
    for family in text_string_to_metric_families(text):
        names.add(f"{family.name}_total" if family.type == "counter" else family.name)
        for sample in family.samples:
            names.add(sample.name)
            values[sample.name, frozenset(sample.labels.items())] = sample.value
        if family.type == "histogram":
            names |= {f"{family.name}{suffix}" for suffix in ("_bucket", "_sum", "_count")}
    return Figures(text, frozenset(names), values)


def figures_when(url: str, holds: Callable[[Figures], bool], what: str, timeout_s: float = 20) -> Figures:
    """Scrape until something holds, and return that scrape."""
    found: list[Figures] = []

    def look() -> bool:
        found.append(scrape(url))
        return holds(found[-1])

    wait_until(look, timeout_s, lambda: f"{what}\n{found[-1].text}", poll_s=0.1)
    return found[-1]


def promtool(*arguments: str, stdin: str = "") -> str:
    """Run promtool and return all that it says; fail if it finds anything."""
    done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
