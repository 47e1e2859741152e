"""Each check of the house can fail: shown on small bad samples, beside a good one."""

import pytest

from tests.house import code, imports, prose
from tests.house.sources import Module, load_modules, load_texts, module_from_text


def modules(**texts: str) -> list[Module]:
    """`a__b="…"` is module `a.b`."""
    return [module_from_text(name.replace("__", "."), text) for name, text in texts.items()]


def test_imports_are_found_in_all_their_forms() -> None:
    module = module_from_text(
        "a.b.c",
        "import x.y\nfrom z import w\nfrom . import d\nfrom ..e import f\ndef g():\n    import late\n",
    )
    assert imports.imports_of(module) == {"x.y", "z", "z.w", "a.b", "a.b.d", "a.e", "a.e.f", "late"}


def test_cycle_is_found() -> None:
    good = modules(a="import b", b="import c", c="")
    assert imports.find_cycles(imports.import_graph(good)) == []
    bad = modules(a="import b", b="from c import d", c="def f():\n    import a")
    assert len(imports.find_cycles(imports.import_graph(bad))) == 3


def test_import_of_a_higher_or_the_same_floor_is_found_even_by_a_detour() -> None:
    graph = imports.import_graph(
        modules(p__low="from p import detour", p__detour="from p import high", p__high="")
    )
    assert imports.find_upward_imports(graph, {"p.low": 2, "p.high": 1}) == []
    assert imports.find_upward_imports(graph, {"p.low": 1, "p.high": 2}) == [
        "p.low (floor 1) comes to p.high (floor 2)"
    ]
    assert imports.find_upward_imports(graph, {"p.low": 1, "p.high": 1}) == [
        "p.low (floor 1) comes to p.high (floor 1)"
    ]
    assert imports.find_upward_imports(graph, {"p.gone": 1}) == [
        "p.gone is on the map of floors but not in the tree"
    ]


def test_import_of_another_program_is_found() -> None:
    tree = modules(edge__a="import shared.x", sink__b="from edge import a", shared__x="")
    assert imports.find_foreign_imports(tree, {"edge": ["shared"], "sink": ["shared"]}) == [
        "sink/b.py imports edge: sink may not use edge",
        "sink/b.py imports edge.a: sink may not use edge",
    ]


def test_only_the_door_may_lead_into_another_program_and_only_to_what_lies_behind_it() -> None:
    tree = modules(
        **{
            "bill.door": "from sink.reading import Reader",
            "bill.run": "from sink.reading import Reader",
            "sink.reading": "",
        }
    )
    tree += modules(**{"bill.door": "import sink.intake"})
    findings = imports.find_foreign_imports(tree, {}, {"bill.door": ["sink.reading"]})
    assert [finding.partition(" imports ")[2].partition(":")[0] for finding in findings] == [
        "sink.reading",
        "sink.reading.Reader",
        "sink.intake",
    ]
    assert "bill/run.py" in findings[0]


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "from pathlib import Path",
        "open('x')",
        "datetime.now()",
        "def f():\n    import sqlite3",
    ],
)
def test_io_in_the_shared_language_is_found(text: str) -> None:
    bans = {"socket", "pathlib", "sqlite3"}, {"open", "now"}
    assert imports.find_io(modules(w="import struct\nstruct.pack('>H', 1)"), *bans) == []
    assert len(imports.find_io(modules(w=text), *bans)) >= 1


def test_dead_file_is_found_and_one_that_is_named_as_a_process_lives() -> None:
    tree = modules(
        a="import b", b="run('-m', 'c')", c="", island_1="import island_2", island_2="import island_1"
    )
    assert imports.find_dead_modules(tree, ["a"]) == [
        "island_1.py: nothing uses it",
        "island_2.py: nothing uses it",
    ]


def test_long_module_and_long_function_are_found() -> None:
    assert code.find_oversized(modules(a="x = 1\n" * 400, b="def f():\n" + "    x = 1\n" * 59)) == []
    assert len(code.find_oversized(modules(a="x = 1\n" * 401, b="def f():\n" + "    x = 1\n" * 60))) == 2


def test_module_without_docstring_is_found() -> None:
    assert code.find_without_docstring(modules(a='"""Why."""\nx = 1', empty="")) == []
    assert len(code.find_without_docstring(modules(a="x = 1"))) == 1


@pytest.mark.parametrize(
    "handler",
    ["except:", "except Exception:", "except BaseException as e:", "except (ValueError, Exception):"],
)
def test_broad_except_is_found_outside_entry_points(handler: str) -> None:
    tree = modules(a=f"def run():\n    try:\n        f()\n    {handler}\n        pass\n")
    assert code.find_broad_excepts(tree, {}) == ["a.py:4 catches everything in run"]
    assert code.find_broad_excepts(tree, {"a:run": "thread's top level"}) == []
    assert code.find_broad_excepts(modules(a="import contextlib\ncontextlib.suppress(Exception)"), {}) != []
    assert code.find_broad_excepts(modules(a="try:\n    f()\nexcept ValueError:\n    pass"), {}) == []
    tidying = "try:\n    f()\nexcept BaseException:\n    close()\n    raise"
    assert code.find_broad_excepts(modules(a=tidying), {}) == []
    assert code.find_broad_excepts([], {"a:run": "gone"}) == ["a:run may catch everything but doesn't"]


def test_stub_is_found_and_a_protocol_is_none() -> None:
    good = 'class P(Protocol):\n    def f(self): ...\n\n@overload\ndef g(): ...\n\ndef h():\n    "Say."\n    return 1\n'
    assert code.find_stubs(modules(a=good)) == []
    assert code.find_stubs(modules(a="def restore():\n    'Nothing to restore: it has no memory.'")) == []
    for bad in (
        "def f(): ...",
        "def f():\n    pass",
        "def f():\n    'Later.'\n    pass",
        "def f():\n    raise NotImplementedError",
    ):
        assert len(code.find_stubs(modules(a=bad))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def f(volume_ml: float): ...",
        "amount_cents: float = 1",
        "self.total_cents: int | float = 1",
        "def price_cents() -> float: ...",
        "volume_ml = 5 / 2",
        "volume_ml /= 2",
        "amount = float('1')",
        "total_volume = 2 + 1.5",
    ],
)
def test_float_for_volume_or_money_is_found(text: str) -> None:
    assert len(code.find_floats(modules(a=text))) == 1


def test_integer_volume_and_float_time_are_no_finding() -> None:
    text = "volume_ml: int = 5 // 2\nwait_s: float = 0.5\nratio = 1 / 3\nhtml = 0.5\nvolumes_ml: tuple[int, ...] = ()\n"
    assert code.find_floats(modules(a=text)) == []


@pytest.mark.parametrize("text", ["x: float = y", "x = 0.5", "x = float(y)", "def f() -> list[float]: ..."])
def test_any_float_in_billing_is_found(text: str) -> None:
    assert len(code.find_inexact(modules(billing=text), [])) == 1


def test_division_is_found_where_everything_is_exact_and_elsewhere_may_join_paths() -> None:
    tree = modules(**{"billing.engine.shares": "x = a / b", "billing.writing": "x = directory / name"})
    (finding,) = code.find_inexact(tree, ["billing.engine"])
    assert "divides" in finding
    assert code.find_inexact(modules(**{"billing.engine.shares": "x = a // b"}), ["billing.engine"]) == []


def test_open_end_is_found() -> None:
    assert prose.find_open_ends({"a.py": "x = 1  # TO" + "DO later"}) == [
        "a.py:1 leaves an open end: x = 1  # TO" + "DO later"
    ]
    assert prose.find_open_ends({"a.py": "0xXXXX todos"}) == []


def test_package_index_is_found() -> None:
    assert prose.find_package_indexes(
        {"requirements.lock": "--extra-index-url https://example.org\nx==1\n"}
    ) == ["requirements.lock:1 names a package index"]


def test_broken_link_and_anchor_are_found() -> None:
    pages = {
        "README.md": "[a](docs/a.md) [b](docs/a.md#the-way-on) [c](docs) [d](https://example.org/x) [e](#top-of-it)\n"
        "# Top of it\n```\n[not a link](nowhere.md)\n```\n",
        "docs/a.md": "# The way, on!\n[up](../README.md)\n",
    }
    assert prose.find_broken_links(pages, pages) == []
    pages["docs/b.md"] = "[x](c.md) [y](a.md#off) [z](../../README.md)"
    assert len(prose.find_broken_links(pages, pages)) == 3


def test_mention_of_a_path_that_isnt_there_is_found() -> None:
    files = ["config/a.toml", "README.md"]
    assert prose.find_missing_paths({"README.md": "`config/a.toml`, `config/`, `down/receipt`"}, files) == []
    for bad in ("`config/b.toml`", "`agent run --config config/b.toml`"):
        assert len(prose.find_missing_paths({"README.md": bad}, files)) == 1


def test_promised_command_that_isnt_there_is_found() -> None:
    makefile = "test: setup ## all\n\t@x\nsetup:\n"
    assert (
        prose.find_unknown_make_targets({"README.md": "`make test` or\n\n    make setup\n"}, makefile) == []
    )
    assert len(prose.find_unknown_make_targets({"README.md": "`WORKERS=4 make tests`"}, makefile)) == 1
    commands = {"edge-agent": ["run"]}
    assert (
        prose.find_unknown_commands({"README.md": "`edge-agent run --config X`; the edge-agent is"}, commands)
        == []
    )
    assert len(prose.find_unknown_commands({"README.md": "```\nedge-agent walk\n```"}, commands)) == 1


def test_decision_out_of_order_or_not_in_the_index_is_found() -> None:
    body = "# 1. X\n\n## Context\n\nc\n\n## Decision\n\nd\n\n## Consequences\n\ne\n"
    pages = {"docs/decisions/README.md": "[1](0001-x.md)", "docs/decisions/0001-x.md": body}
    assert prose.find_bad_decisions(pages) == []
    assert len(prose.find_bad_decisions({**pages, "docs/decisions/0003-y.md": body})) == 2
    assert len(prose.find_bad_decisions({**pages, "docs/decisions/y.md": body})) == 1
    assert len(prose.find_bad_decisions({**pages, "docs/decisions/0001-x.md": "# 1. X\n"})) == 3


def test_checks_see_the_tree() -> None:
    names = {module.name for module in load_modules()}
    assert {"wastelock", "wastelock.page", "tests.house.sources", "edge_agent.drivers"} <= names
    assert not any(name.startswith((".", "build")) for name in names)
    assert {
        "Makefile",
        "README.md",
        ".ci/run",
        "tools/setup",
        "requirements.lock",
        "config/mosquitto.conf",
    } <= set(load_texts())
