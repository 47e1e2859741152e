"""docs/operations-troubleshooting.md against the code: it explains every alarm and every verdict of the doctor."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from cloud_sink.projections.twins.terms import AlarmKind
from edge_agent.machine.conditions import CONDITIONS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations-troubleshooting.md").read_text()
AGENT = sorted((ROOT / "edge_agent").rglob("*.py"))
DOCTOR = [path for path in AGENT if "doctor" in path.parts]
RAISING = {"raise_", "happened", "lasts", "UntrustedOrder"}
# Where a name is handed on that somebody else gave: by the machine's table, by a judgement, by an error.
HANDED_ON = {
    "edge_agent/machine/keeper.py",
    "edge_agent/orders/order_alarms.py",
    "edge_agent/orders/intake.py",
}


def section(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    text = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name.removesuffix(" …") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def text_of(node: ast.expr, constants: dict[str, str]) -> str | None:
    """The text that an expression is, as far as the source tells."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return constants.get(name)
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text.strip()
    return None


def constants_of(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: statement.value.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name) and isinstance(statement.value.value, str)
    }


def alarms_raised(path: Path) -> Iterator[str | None]:
    """Yield the alarms that a module raises by name; None where the source doesn't tell which."""
    tree = ast.parse(path.read_text())
    constants = constants_of(tree)
    names = {
        target.id: text
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and (text := text_of(node.value, constants))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if called(node) in RAISING and node.args:
            yield text_of(node.args[0], constants | names)
        for keyword in node.keywords:
            if keyword.arg == "alarm" and isinstance(keyword.value, ast.Constant):
                yield str(keyword.value.value)
        if "orders" in path.parts and called(node) == "Judgement" and len(node.args) > 2:
            yield text_of(node.args[2], constants | names)


def verdicts(path: Path) -> Iterator[str]:
    """Yield the names that a module of the doctor gives to what is wrong or worth knowing."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in ("trouble", "notice") and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant):
                yield str(name.value)
    yield from re.findall(r'^        "([a-z]+(?:_[a-z]+)+)",$', path.read_text(), re.MULTILINE)


def test_every_alarm_that_a_gateway_can_raise_is_explained() -> None:
    raised = {path: list(alarms_raised(path)) for path in AGENT}
    untold = {
        str(path.relative_to(ROOT)) for path, names in raised.items() if any(name is None for name in names)
    }
    assert untold <= HANDED_ON, "which alarms are these?"
    names = {name for found in raised.values() for name in found if name} | {c.alarm for c in CONDITIONS}
    assert len(names) > 20
    assert names == section("Alarms of the gateway")


def test_every_alarm_of_the_twins_is_explained() -> None:
    assert section("Alarms of the twins") == set(AlarmKind)


def test_every_condition_of_the_machine_is_explained_with_its_levels() -> None:
    assert section("The machine's health") == {condition.alarm for condition in CONDITIONS}


def test_every_verdict_of_the_doctor_is_explained() -> None:
    names = {name for path in DOCTOR for name in verdicts(path)}
    assert len(names) > 50
    told = set(re.findall(r"`([a-z_-]+)`", PAGE))
    assert sorted(names - told) == []
