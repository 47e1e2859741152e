"""How the code is written: sizes, broad excepts, stubs, floats where money or volume is meant."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from tests.house.sources import Module

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

_BROAD = frozenset({"Exception", "BaseException"})
_EXACT_NAME = re.compile(r"(^|_)(ml|cents|volumes?|amounts?|prices?|money)(_|$)")
_FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def find_oversized(modules: Sequence[Module]) -> list[str]:
    """Modules of at most 400 lines, functions of at most 60."""
    findings = []
    for module in modules:
        lines = module.text.count("\n")
        if lines > MAX_MODULE_LINES:
            findings.append(f"{module.path} has {lines} lines, at most {MAX_MODULE_LINES} are allowed")
        for name, node in _functions(module.tree):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                findings.append(
                    f"{module.path}:{node.lineno} {name} has {length} lines, at most {MAX_FUNCTION_LINES}"
                )
    return findings


def find_without_docstring(modules: Sequence[Module]) -> list[str]:
    """Each module says what it is for."""
    return [
        f"{module.path} doesn't say what it is for: a docstring is missing"
        for module in modules
        if module.tree.body and ast.get_docstring(module.tree) is None
    ]


def find_broad_excepts(modules: Sequence[Module], allowed: Mapping[str, str]) -> list[str]:
    """Only entry points catch everything, unless it goes on as it came after some tidying up.

    `allowed`: `module:function` -> why. An entry that isn't needed is a finding, too.
    """
    findings, used = [], set()
    for module in modules:
        for place, line in _broad_excepts(module.tree):
            key = f"{module.name}:{place}"
            if key in allowed:
                used.add(key)
            else:
                findings.append(f"{module.path}:{line} catches everything in {place}")
    return findings + [f"{key} may catch everything but doesn't" for key in sorted(set(allowed) - used)]


def find_stubs(modules: Sequence[Module]) -> list[str]:
    """Return functions that do nothing, or say that they aren't written yet (protocols and overloads are no stubs)."""
    findings = []
    for module in modules:
        declared = set(_declarations(module.tree))
        for name, node in _functions(module.tree):
            if node not in declared and _is_empty(node):
                findings.append(f"{module.path}:{node.lineno} {name} does nothing")
        findings += [
            f"{module.path}:{node.lineno} isn't written yet"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name) and node.id == "NotImplementedError"
        ]
    return findings


def find_floats(modules: Sequence[Module]) -> list[str]:
    """Volume is whole millilitres and money whole cents: no name for either may hold a float."""
    findings = []
    for module in modules:
        for node in ast.walk(module.tree):
            for name in _float_names(node):
                if _EXACT_NAME.search(name):
                    findings.append(f"{module.path}:{getattr(node, 'lineno', 0)} {name} is a float")
    return findings


def find_inexact(modules: Sequence[Module], undivided: Sequence[str]) -> list[str]:
    """Return where a float is named, written or, in the packages `undivided`, could be made by `/`."""
    findings = []
    for module in modules:
        exact = any(module.name == name or module.name.startswith(f"{name}.") for name in undivided)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id == "float":
                findings.append(f"{module.path}:{node.lineno} names float")
            elif isinstance(node, ast.Constant) and isinstance(node.value, float):
                findings.append(f"{module.path}:{node.lineno} holds the float {node.value}")
            elif exact and isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
                findings.append(f"{module.path}:{node.lineno} divides by /: write Fraction(a, b) or a // b")
    return findings


def _functions(tree: ast.AST) -> Iterator[tuple[str, _FunctionNode]]:
    for node in ast.walk(tree):
        if isinstance(node, _FunctionNode):
            yield node.name, node


def _broad_excepts(tree: ast.AST, place: str = "module") -> Iterator[tuple[str, int]]:
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, _FunctionNode) else place
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node):
            yield place, node.lineno
        if isinstance(node, ast.Call) and _names(node.func) & {"suppress"} and _names(*node.args) & _BROAD:
            yield place, node.lineno
        yield from _broad_excepts(node, inside)


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names(handler.type) & _BROAD)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _names(*nodes: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                names.add(inner.id)
            elif isinstance(inner, ast.Attribute):
                names.add(inner.attr)
    return names


def _declarations(tree: ast.AST) -> Iterator[_FunctionNode]:
    """Functions without a body on purpose: methods of protocols, abstract methods, overloads, callbacks of typer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and _names(*node.bases) & {"Protocol", "ABC"}:
            yield from (inner for _, inner in _functions(node))
        elif isinstance(node, _FunctionNode) and _names(*node.decorator_list) & {
            "overload",
            "abstractmethod",
            "callback",
        }:
            yield node


def _is_empty(node: _FunctionNode) -> bool:
    """True for `pass` and `...`; a docstring that says why nothing is to be done makes nothing a choice."""
    documented = ast.get_docstring(node) is not None
    body = node.body[1:] if documented else node.body
    return bool(body) and all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _float_names(node: ast.AST) -> Iterator[str]:
    """Names that this node declares as float, or gives a value that is one at sight."""
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        target = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
        if "float" in _names(node.annotation):
            yield target.rpartition(".")[2]
    elif isinstance(node, _FunctionNode) and node.returns is not None and "float" in _names(node.returns):
        yield node.name
    if isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
        makes_float = _makes_float(node.value) or (
            isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div)
        )
        for target_node in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if makes_float:
                yield ast.unparse(target_node).rpartition(".")[2]


def _makes_float(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, float)
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.Div) or _makes_float(value.left) or _makes_float(value.right)
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "float"
