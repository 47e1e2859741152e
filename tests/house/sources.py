"""What the checks look at: Python modules with their syntax trees, and all text files of the repository."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SKIPPED = frozenset(
    {".git", ".venv", ".tools", "__pycache__", "demo-data", "out", "build", "dist", "node_modules"}
)
_TEXT_SUFFIXES = frozenset(
    {".py", ".md", ".toml", ".conf", ".sql", ".mako", ".yaml", ".yml", ".csv", ".ini", ".txt"}
)
_TEXT_NAMES = frozenset({"Makefile", "run", "setup", "test", "requirements.lock", "requirements-edge.lock"})


@dataclass(frozen=True)
class Module:
    """One Python file. `name` is dotted: `edge_agent.drivers.wlc_1`; a package's `__init__` has the package's name."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")


def module_from_text(name: str, text: str) -> Module:
    """Return a module that isn't on disk: for trying out the checks."""
    return Module(name, name.replace(".", "/") + ".py", text)


def load_modules(root: Path = ROOT) -> list[Module]:
    """Return all Python modules of the repository, sorted by path."""
    return [
        Module(_dotted(path), str(path), (root / path).read_text())
        for path in _walk(root)
        if path.suffix == ".py"
    ]


def load_texts(root: Path = ROOT) -> dict[str, str]:
    """Return all files that people write, by path."""
    return {
        str(path): (root / path).read_text()
        for path in _walk(root)
        if path.suffix in _TEXT_SUFFIXES or (path.suffix in ("", ".lock") and path.name in _TEXT_NAMES)
    }


def list_files(root: Path = ROOT) -> list[str]:
    """Return the paths of all files of the repository, whatever they hold."""
    return [str(path) for path in _walk(root)]


def _walk(root: Path) -> Iterator[Path]:
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if name not in _SKIPPED and not name.endswith((".egg-info", "_cache")) and name != ".hypothesis"
        )
        for name in sorted(files):
            yield (Path(directory) / name).relative_to(root)


def _dotted(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
