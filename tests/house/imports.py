"""Who imports whom: floors, bans between packages, no I/O in the shared language, no dead files."""

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence

from tests.house.sources import Module

Graph = dict[str, set[str]]


def imports_of(module: Module) -> set[str]:
    """Return the dotted names that a module imports, as far as its text tells: `from a import b` gives a and a.b."""
    base = module.name if module.is_package else module.name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = base.split(".")[: len(base.split(".")) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            found.add(source)
            found.update(f"{source}.{alias.name}" for alias in node.names)
    return found


def import_graph(modules: Sequence[Module]) -> Graph:
    """Return, for each module, which modules of ours it imports (the packages above them count only if named)."""
    names = {module.name for module in modules}
    graph: Graph = {}
    for module in modules:
        targets = imports_of(module) & names
        # `from package import submodule` names the package too, without using anything of it.
        packages = {target for target in targets if any(other.startswith(f"{target}.") for other in targets)}
        graph[module.name] = targets - packages - {module.name}
    return graph


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    """Return all modules that can be come to from these, themselves included."""
    seen: set[str] = set()
    waiting = [name for name in starts if name in graph]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(graph[name] - seen)
    return seen


def find_cycles(graph: Graph) -> list[str]:
    """Imports go strictly down: no module may come to itself again."""
    return [
        f"{name} imports itself by way of {', '.join(sorted(t for t in graph[name] if name in reachable(graph, [t])))}"
        for name in sorted(graph)
        if name in reachable(graph, graph[name])
    ]


def find_upward_imports(graph: Graph, floors: Mapping[str, int]) -> list[str]:
    """A module with a floor may come, even by way of others, only to lower floors."""
    findings = [
        f"{name} is on the map of floors but not in the tree" for name in sorted(floors) if name not in graph
    ]
    for name, floor in sorted(floors.items()):
        for other in sorted(reachable(graph, [name]) - {name}):
            if floors.get(other, -1) >= floor:
                findings.append(f"{name} (floor {floor}) comes to {other} (floor {floors[other]})")
    return findings


def find_foreign_imports(
    modules: Sequence[Module],
    allowed: Mapping[str, Collection[str]],
    doors: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """Return imports from one of our packages into another one that `allowed` doesn't list for it.

    `doors`: module -> the modules of other packages that it, and nobody else of its package, may import.
    """
    ours = {module.package for module in modules}
    return [
        f"{module.path} imports {target}: {module.package} may not use {target.partition('.')[0]}"
        for module in modules
        for target in sorted(imports_of(module))
        if target.partition(".")[0] in ours - {module.package, *allowed.get(module.package, ())}
        and not _goes_through(target, (doors or {}).get(module.name, ()))
    ]


def _goes_through(target: str, doors: Collection[str]) -> bool:
    return any(
        target == door or target.startswith(f"{door}.") or door.startswith(f"{target}.") for door in doors
    )


def find_io(modules: Sequence[Module], libraries: Collection[str], calls: Collection[str]) -> list[str]:
    """Return where modules that may do no I/O import a library or call something that does."""
    findings = []
    for module in modules:
        findings += [
            f"{module.path} imports {target}, which does I/O"
            for target in sorted(imports_of(module))
            if target.partition(".")[0] in libraries
        ]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                if called in calls:
                    findings.append(f"{module.path}:{node.lineno} calls {called}()")
    return findings


def find_dead_modules(modules: Sequence[Module], roots: Collection[str]) -> list[str]:
    """Return modules that nothing comes to from the roots, neither by import nor by name (`python -m …`)."""
    graph = import_graph(modules)
    for module in modules:
        graph[module.name] |= {
            node.value
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in graph
        } - {module.name}
    live = reachable(graph, roots)
    return [
        f"{module.path}: nothing uses it"
        for module in modules
        if module.name not in live and not (module.is_package and len(module.tree.body) <= 1)
    ]
