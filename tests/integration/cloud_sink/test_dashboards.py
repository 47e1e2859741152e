"""Grafana's dashboards: each panel's query gives data on a real server that the projection has filled."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud_sink.config import TimeseriesSection
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.tables import observations
from cloud_sink.projections.timeseries import Timeseries
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.victoria import Victoria
from wastelock.messages import BusStatistics, ChamberState, GatewayState, LockState, Telemetry
from wastelock.record import Kind
from wastelock.registers import Fault

GRAFANA = Path(__file__).parents[3] / "config" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))}
# A morning: pours from nine o'clock on, committed at noon.
FIRST_S, LAST_S = START.timestamp(), (START + timedelta(hours=3, minutes=5)).timestamp()
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.*), (?P<label>\w+)\)\Z")


def fill(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    """Put something of everything into a ledger."""
    for _ in range(3):
        records = [lock.page_record(lock.record(weight_word=120, duration_ds=80)) for _ in range(20)]
        fault = lock.record(kind=Kind.FAULT_RAISED, chamber=0, duration_ds=Fault.DOOR_OPEN)
        ledger.take(gateway.seal([*records, lock.page_record(fault)]))
        lock.seq += 1
        ledger.take(gateway.seal([lock.page_record(lock.record(), unverified=True)]))
    rows: list[tuple[object, ...]] = []
    for minute in range(0, 180, 2):
        at = START + timedelta(minutes=minute)
        for state in (lock_state(lock, minute), gateway_state(), telemetry(minute)):
            kind = {LockState: "lock", GatewayState: "gateway", Telemetry: "telemetry"}[type(state)]
            name = lock.name if kind == "lock" else None
            where = (gateway.site, gateway.gateway, name, None, state.to_json().decode())
            rows.append((len(rows) + 1, to_ms(at), kind, *where))
    with ledger.database.writing() as connection:
        insert_rows(connection, observations, rows)


def lock_state(lock: FakeLock, minute: int) -> LockState:
    return LockState(
        lock=lock.name, driver="wlc-1", at=START, reachable=True, fill_permille=5 * minute, battery_mv=3600,
        temperature_dc=45, clock_offset_s=-2, newest_seq=70, spooled_seq=69, overwritten_records=0,
        chambers=(ChamberState(number=1, volume_ml=5000, register_count=lock.register, enabled=True),),
    )  # fmt: skip


def gateway_state() -> GatewayState:
    return GatewayState(
        gateway="gw-0001", online=True, incarnation=2, newest_page=9, committed_through=8, alarms=("disk",)
    )


def telemetry(minute: int) -> Telemetry:
    bus = BusStatistics(
        bus="bus-1", requests=60 * minute, timeouts=minute, late_or_foreign_replies=0, crc_errors=0, exceptions=0,
        wire_busy_permille=300,
    )  # fmt: skip
    return Telemetry(
        gateway="gw-0001", at=START, cpu_permille=80, memory_rss_bytes=50_000_000, disk_free_bytes=8_000_000_000,
        spool_bytes=40_960, spool_pages=9, unsent_pages=1, oldest_unsent_at=START, clock="ntp", buses=(bus,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    directory = tmp_path_factory.mktemp("dashboards")
    gateway, lock = FakeGateway(), FakeLock()
    url = f"sqlite:///{directory / 'ledger.sqlite'}"
    ledger = Ledger(url, directory, [gateway])
    fill(ledger, gateway, lock)
    with Victoria(directory / "victoria") as running:
        settings = TimeseriesSection(url=running.url, quality_every_s=1)
        projection = Timeseries(url, f"sqlite:///{directory / 'projections.sqlite'}", settings)
        while projection.step():
            pass
        projection.close()
        ledger.close()
        yield running


def as_asked(query: str) -> str:
    """Return a query with Grafana's variables filled in: everything, as when one looks at a dashboard for a morning."""
    for name, value in (("$__interval", "5m"), ("$__range", "4h")):
        query = query.replace(name, value)
    return re.sub(r"\$(site|lock|gateway)\b", ".*", query)


def panels() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


@pytest.mark.parametrize("query", panels())
def test_the_query_of_each_panel_gives_data(server: Victoria, query: str) -> None:
    found = server.query_range(as_asked(query), FIRST_S, LAST_S)
    assert found, query
    assert any(value not in ("NaN", "+Inf") for series in found for _, value in series["values"])


def test_a_query_of_what_nobody_writes_gives_none(server: Victoria) -> None:
    assert server.query_range("wl_lock_fill_percent", FIRST_S, LAST_S) == []


def variables() -> list[Any]:
    return [
        pytest.param(variable["query"]["query"], id=f"{name}: {variable['name']}")
        for name, dashboard in DASHBOARDS.items()
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]


@pytest.mark.parametrize("query", variables())
def test_the_query_of_each_variable_gives_values(server: Victoria, query: str) -> None:
    asked = _LABEL_VALUES.match(query)
    assert asked is not None, query
    found = server.query_range(
        f"count by ({asked['label']}) ({as_asked(asked['selector'])})", FIRST_S, LAST_S
    )
    assert {series["metric"][asked["label"]] for series in found} <= {"estate-1", "1f00a1", "gw-0001"}
    assert found


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_one_that_grafana_can_lay_out(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert (dashboard["uid"], "id" in dashboard) == (name, False)
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        used = {each for target in panel["targets"] for each in re.findall(r"\$(\w+)", target["expr"])}
        assert used <= known | {"__interval", "__range"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) > 3


def test_all_four_dashboards_are_there_and_grafana_is_told_of_them() -> None:
    assert set(DASHBOARDS) == {f"wastelock-{name}" for name in ("fleet", "lock", "gateway", "data-quality")}
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/wastelock.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/wastelock.yaml").read_text())["providers"]
    assert provider["type"] == "file"
