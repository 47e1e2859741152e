"""Prometheus' configuration, the alarm rules, dashboards and docs/monitoring.md, held against what programs expose."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.portal import Portal
from tests.support.scraping import Figures, figures_when, promtool, scrape, served_at
from tests.support.sink import SinkProcess
from tests.unit.edge_agent.installation import Installation

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "config" / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
METRIC = re.compile(r"\b(?:wastelock_|process_)[a-z0-9_]*[a-z0-9]\b")
MONITORING = (ROOT / "docs" / "monitoring.md").read_text()


def alerts_of(rule_file: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(rule_file.read_text())["groups"] for rule in group["rules"]]


ALERTS = [alert for rule_file in RULE_FILES for alert in alerts_of(rule_file)]


def scrape_all(directory: Path) -> dict[str, Figures]:
    """One scrape of each program as it runs; that the agent's lock doesn't answer is among its figures."""
    gateway, lock = FakeGateway(), FakeLock(key=bytes(range(16)))
    metrics = '[metrics]\nlisten = "127.0.0.1:0"\nproject_listen = "127.0.0.1:0"\nrefresh_s = 1\n'
    found = {}
    with Broker(directory / "broker") as broker:
        sink = SinkProcess(
            directory / "sink",
            f"sqlite:///{directory / 'ledger.sqlite'}",
            broker.port,
            [gateway],
            [lock],
            limits=metrics,
        )
        agent = Installation(directory, broker.port, more='metrics = { listen = "127.0.0.1:0" }')
        agent.seal(1, 1)
        with sink:
            found["sink"] = figures_when(
                served_at(directory / "sink" / "cloud-sink.log"),
                lambda f: f.value("wastelock_sink_ledger_available") == 1,
                "the ledger",
            )
            with projecting(sink.config, directory / "project.log") as url:
                found["projections"] = figures_when(
                    url, lambda f: f.value("wastelock_projection_position", projection="usage") == 0, "usage"
                )
            with agent.running():
                found["agent"] = figures_when(
                    served_at(agent.log), lambda f: f.value("wastelock_agent_running") == 1, "the agent"
                )
            with Portal(directory, sink.config) as portal:
                found["portal"] = scrape(f"{portal.url}/metrics")
    return found


@contextmanager
def projecting(config: Path, log: Path) -> Iterator[str]:
    """`cloud-sink project` as a process; the address of its figures."""
    command = [
        sys.executable,
        "-c",
        "from cloud_sink.cli import main; main()",
        "project",
        "--config",
        str(config),
    ]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors)
    try:
        yield served_at(log)
    finally:
        process.kill()
        process.wait()


def test_promtool_finds_nothing_in_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert RULE_FILES
    promtool("check", "rules", *map(str, RULE_FILES))


@pytest.mark.parametrize("rule_file", RULE_FILES, ids=lambda path: path.stem)
def test_each_alarm_fires_when_it_should_and_not_otherwise(rule_file: Path) -> None:
    tests = PROMETHEUS / "tests" / rule_file.name
    promtool("test", "rules", str(tests))
    cases = {case["name"]: case for case in yaml.safe_load(tests.read_text())["tests"]}
    assert list(cases) == [alert["alert"] for alert in alerts_of(rule_file)], (
        "one case for each alarm, in its order"
    )
    for name, case in cases.items():
        before, after = case["promql_expr_test"]
        fired = [sample["labels"] for sample in after["exp_samples"]]
        assert before["exp_samples"] == [] and fired, (
            f"{name}: it has to be silent at first, and to fire then"
        )
        assert all(f'alertname="{name}"' in labels for labels in fired), f"{name}: nothing else may fire"
        good = [series for series in case["input_series"] if 'instance="good"' in series["series"]]
        assert good and not any('instance="good"' in labels for labels in fired), (
            f"{name}: when doesn't it fire?"
        )


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_each_alarm_tells_what_is_wrong_and_where_it_is_explained(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    page, _, anchor = notes["runbook_url"].partition("#")
    assert (page, anchor) == ("docs/monitoring.md", alert["alert"].lower())
    assert f"### {alert['alert']}\n" in MONITORING


def test_no_two_alarms_have_one_name() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(set(names)) == len(names)


def test_what_the_programs_expose_is_sound_explained_and_all_that_rules_and_dashboards_count_on(
    tmp_path: Path,
) -> None:
    exposed = scrape_all(tmp_path)
    for found in exposed.values():
        promtool("check", "metrics", stdin=found.text)
    names = frozenset[str]().union(*(found.families for found in exposed.values()))
    texts = {f"rule {alert['alert']}": alert["expr"] for alert in ALERTS}
    texts |= {path.name: path.read_text() for path in (ROOT / "config" / "grafana").rglob("*.json")}
    unknown = [
        f"{where}: {name}"
        for where, text in texts.items()
        for name in METRIC.findall(text)
        if name not in names
    ]
    assert unknown == []
    told = set(re.findall(r"^\| `(wastelock_[a-z0-9_]+)", MONITORING, re.MULTILINE))
    there = {
        line.split()[2]
        for found in exposed.values()
        for line in found.text.splitlines()
        if line.startswith("# TYPE wastelock_") and not line.split()[2].endswith("_created")
    }
    assert told == there
