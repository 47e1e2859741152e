"""The house's rules, checked on the whole tree. The checks themselves, and proof that they can fail: tests/house."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import typer
from typer.main import get_command

from tests.house import code, imports, prose
from tests.house.sources import list_files, load_modules, load_texts

# Imports go strictly down: a module comes, even by way of others, only to modules on lower floors. What isn't named
# here may stand anywhere between the floors of those that it serves.
FLOORS = {
    # The shared language lies below all programs.
    "wastelock.record": -3,
    "wastelock.registers": -3,
    "wastelock.page": -2,
    "wastelock.topics": -2,
    "wastelock.messages": -1,
    "wastelock.contract": 1,
    "wastelock.orders": 0,
    "wastelock.enrolment": 0,
    "firmware_sim.errors": 0,
    "firmware_sim.journal": 1,
    "firmware_sim.lock": 2,
    "firmware_sim.unit": 3,
    "firmware_sim.server": 4,
    "firmware_sim.simulator": 5,
    "firmware_sim.cli": 6,
    "edge_agent.errors": 0,
    "edge_agent.custody": 0,
    "edge_agent.config": 1,
    "edge_agent.drivers.base": 1,
    "edge_agent.drivers.wlc_1": 2,
    "edge_agent.drivers.counter_1": 2,
    "edge_agent.bus": 2,
    "edge_agent.identity": 2,
    "edge_agent.spool": 2,
    "edge_agent.uplink": 2,
    "edge_agent.poller": 3,
    "edge_agent.forwarder": 3,
    "edge_agent.reporter": 3,
    "edge_agent.arrival": 1,
    "edge_agent.orders.judging": 3,
    "edge_agent.orders.memory": 2,
    "edge_agent.orders.desk": 4,
    "edge_agent.machine.keeper": 2,
    "edge_agent.local.door": 5,
    "edge_agent.renewal": 3,
    "edge_agent.agent": 6,
    "edge_agent.technician.access": 6,
    "edge_agent.technician.doctor.examination": 7,
    "edge_agent.cli": 8,
    "cloud_sink.errors": 0,
    "cloud_sink.config": 1,
    "cloud_sink.ledger.book": 2,
    "cloud_sink.operating": 2,
    "cloud_sink.orders.model": 0,
    "cloud_sink.orders.ordering": 3,
    "cloud_sink.orders.dispatching": 3,
    "cloud_sink.authority.enrolling": 3,
    "cloud_sink.authority.serving": 4,
    "cloud_sink.intake": 3,
    "cloud_sink.projector": 3,
    "cloud_sink.projections.twins.projection": 3,
    "cloud_sink.projections.feed": 3,
    "cloud_sink.projections.timeseries": 3,
    "cloud_sink.projecting": 4,
    "cloud_sink.sink": 4,
    "cloud_sink.cli": 5,
    "billing_aggregator.errors": 0,
    "billing_aggregator.model": 0,
    "billing_aggregator.days": 0,
    "billing_aggregator.amounts": 0,
    "billing_aggregator.engine.allocation": 1,
    "billing_aggregator.masterdata.snapshot": 2,
    # The one door to the ledger stands on a floor of its own: whoever comes to it also comes to the sink's reader.
    "billing_aggregator.ledger_door": 2,
    "billing_aggregator.pours.usage": 3,
    "billing_aggregator.runs.calculation": 4,
    "billing_aggregator.documents.content": 5,
    "billing_aggregator.cli": 6,
    # The portal stands above both: whoever comes to one of its two doors comes to all that lies behind it.
    "portal.errors": 0,
    "portal.roles": 0,
    "portal.config": 1,
    "portal.sink_door": 6,
    "portal.billing_door": 6,
    "portal.services": 7,
    "portal.app": 8,
    "portal.cli": 9,
}
PROGRAMS = ("firmware_sim", "edge_agent", "cloud_sink", "billing_aggregator", "portal")
# The doors from one program to another, and what lies behind each: billing reads the ledger, the portal shows both.
DOORS = {
    "billing_aggregator.ledger_door": ("cloud_sink.reading",),
    "portal.sink_door": ("cloud_sink",),
    "portal.billing_door": ("billing_aggregator",),
}
# Where money and volume are reckoned there is no float at all, and no division that could make one.
EXACT_PACKAGES = ("billing_aggregator.engine", "billing_aggregator.pours", "billing_aggregator.model")
MONEY_PACKAGE = "billing_aggregator"
# Whom a package may import. The programs never import each other; what two of them share is in wastelock.
MAY_IMPORT = {
    "wastelock": (),
    **dict.fromkeys(PROGRAMS, ("wastelock",)),
    "demo": ("wastelock",),
    # Benches measure against the same real servers as the tests: tests.support.
    "bench": ("wastelock", "demo", "tests", *PROGRAMS),
    "tools": ("wastelock",),
    "tests": ("wastelock", "demo", "bench", "tools", *PROGRAMS),
}
IO_LIBRARIES = frozenset(
    {
        *(
            "asyncio",
            "http",
            "io",
            "logging",
            "multiprocessing",
            "os",
            "paho",
            "pathlib",
            "pymodbus",
            "random",
        ),
        *(
            "secrets",
            "select",
            "serial",
            "shutil",
            "signal",
            "socket",
            "sqlalchemy",
            "sqlite3",
            "sqlite_utils",
            "ssl",
        ),
        *("structlog", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
    }
)
IO_CALLS = frozenset({"open", "print", "input", "now", "utcnow", "today"})
# Entry points: the only places that may catch everything, and why.
MAY_CATCH_EVERYTHING = {
    "edge_agent.crew:_guard": "top of the agent's threads: the error is kept and the process ends",
    "edge_agent.poller:run": "top of a poller's thread: the error is reported and the process ends",
    "edge_agent.spool_writer:_run": "top of the spool's thread: the error is handed to everybody who waits for it",
    "cloud_sink.session:_on_connect": "top of paho's thread, which would end in silence: the process ends instead",
    "cloud_sink.session:_on_message": "top of paho's thread, which would end in silence: the process ends instead",
    "cloud_sink.following:run": "top of a projection's thread: that projection is begun anew, the others go on",
    "portal.live:_guard": "top of the live stream's thread: the error is kept and the process ends",
    "portal.access_keeper:_guard": "top of the access lists' thread: the error is kept and the process ends",
    "cloud_sink.sink:guarded": "top of the sink's threads: the error is reported and the process ends",
}

MODULES = load_modules()
TEXTS = load_texts()
PAGES = {path: text for path, text in TEXTS.items() if path.endswith(".md")}
FILES = list_files()
OUR_CODE = [module for module in MODULES if module.package != "tests"]


def keep_to(findings: list[str]) -> None:
    """Fail with each finding on a line of its own."""
    assert not findings, "\n".join(["", *findings])


def programs_and_their_apps() -> dict[str, typer.Typer]:
    """Return each command line program of pyproject.toml with its typer app, from its module `cli` or `commands`."""
    scripts: dict[str, str] = tomllib.loads(TEXTS["pyproject.toml"])["project"]["scripts"]
    apps = {}
    for program, entry in scripts.items():
        package = entry.partition(".")[0]
        found = [
            value
            for name in ("cli", "commands")
            if find_spec(f"{package}.{name}")
            for value in vars(import_module(f"{package}.{name}")).values()
            if isinstance(value, typer.Typer)
        ]
        assert found, f"{program}: no typer app in {package}.cli or {package}.commands"
        apps[program] = found[0]
    return apps


def commands_of(app: typer.Typer) -> dict[str, str]:
    """Return the help text of each command; a program without commands has the one called ""."""
    return dict(_leaves("", get_command(app)))


def _leaves(name: str, command: Any) -> Iterator[tuple[str, str]]:
    """Yield each command with its help: `run`, and of groups `run new`, `run show` …"""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, str(command.help or "") + str(command.epilog or "")
    for part, each in (inner or {}).items():
        yield from _leaves(f"{name} {part}".strip(), each)


def test_imports_go_strictly_down() -> None:
    graph = imports.import_graph(MODULES)
    keep_to(imports.find_cycles(graph))
    keep_to(imports.find_upward_imports(graph, FLOORS))


def test_programs_share_nothing_but_wastelock() -> None:
    keep_to(imports.find_foreign_imports(MODULES, MAY_IMPORT, DOORS))


def test_shared_language_does_no_io() -> None:
    shared = [module for module in MODULES if module.package == "wastelock"]
    keep_to(imports.find_io(shared, IO_LIBRARIES, IO_CALLS))


def test_modules_and_functions_are_small() -> None:
    keep_to(code.find_oversized(MODULES))


def test_each_module_says_what_it_is_for() -> None:
    keep_to(code.find_without_docstring(MODULES))


def test_no_file_is_dead() -> None:
    entries = [
        entry.partition(":")[0]
        for entry in tomllib.loads(TEXTS["pyproject.toml"])["project"]["scripts"].values()
    ]
    started = re.findall(r"-m ([a-z_.]+)", TEXTS["Makefile"])
    mains = [f"{name}.__main__" for name in started]
    migrations = [
        module.name for module in OUR_CODE if ".migrations." in module.name
    ]  # Alembic finds them by path
    roots = [*entries, *(name for name in started if not name.startswith("tests.")), *mains, *migrations]
    keep_to(imports.find_dead_modules(OUR_CODE, roots))
    tests = [
        module.name for module in MODULES if module.name.rpartition(".")[2].startswith(("test_", "conftest"))
    ]
    generators = ["tests.vectors.make_vectors"]
    keep_to(imports.find_dead_modules(MODULES, [*roots, *started, *tests, *generators]))


def test_only_entry_points_catch_everything() -> None:
    keep_to(code.find_broad_excepts(OUR_CODE, MAY_CATCH_EVERYTHING))


def test_nothing_is_left_for_later() -> None:
    keep_to(prose.find_open_ends(TEXTS))
    keep_to(code.find_stubs(OUR_CODE))


def test_volume_and_money_are_never_floats() -> None:
    keep_to(code.find_floats(MODULES))
    billing = [module for module in MODULES if module.package == MONEY_PACKAGE]
    assert billing
    keep_to(code.find_inexact(billing, EXACT_PACKAGES))


@pytest.mark.parametrize(
    "program", ["edge-agent", "cloud-sink", "billing-aggregator", "firmware-sim", "portal"]
)
def test_each_command_has_help_with_an_example(program: str) -> None:
    commands = commands_of(programs_and_their_apps()[program])
    without = [name for name, text in commands.items() if f"{program} {name}".strip() not in text]
    assert without == [], "the help of these commands shows no example of their use"


def test_commands_that_the_documents_promise_exist() -> None:
    keep_to(prose.find_unknown_make_targets(PAGES, TEXTS["Makefile"]))
    commands = {
        program: {name.partition(" ")[0] for name in commands_of(app)}
        for program, app in programs_and_their_apps().items()
    }
    keep_to(prose.find_unknown_commands(PAGES, commands))


def test_links_and_paths_in_the_documents_lead_somewhere() -> None:
    keep_to(prose.find_broken_links(PAGES, FILES))
    keep_to(prose.find_missing_paths(PAGES, FILES))


def test_decisions_are_numbered_and_indexed() -> None:
    keep_to(prose.find_bad_decisions(PAGES))


def test_no_file_names_a_package_index() -> None:
    checked = {
        path: text for path, text in TEXTS.items() if path.endswith((".lock", ".toml")) or "." not in path
    }
    keep_to(prose.find_package_indexes(checked))
