"""What people read: open ends, links, decisions, commands that are promised."""

import re
from collections.abc import Collection, Iterator, Mapping

# Spelled in two parts, so that this file may be checked as well.
_OPEN_ENDS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]*")
_MAKE = re.compile(r"`(?:[A-Z]+=\S+ )*make ([a-z][a-z-]*)|^\s*make ([a-z][a-z-]*)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_DECISION = re.compile(r"(\d{4})-[a-z0-9-]+\.md\Z")
_INDEX_ADDRESS = re.compile(r"index-url|find-links|/simple\b|registry\.npmjs|pypi\.")


def find_open_ends(texts: Mapping[str, str]) -> list[str]:
    """Nothing is left for later in the text: what is open is an issue."""
    return [
        f"{path}:{number} leaves an open end: {line.strip()[:80]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if _OPEN_ENDS.search(line)
    ]


def find_package_indexes(texts: Mapping[str, str]) -> list[str]:
    """Where packages come from is each machine's own matter: no file names an index."""
    return [
        f"{path}:{number} names a package index"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if _INDEX_ADDRESS.search(line)
    ]


def find_broken_links(pages: Mapping[str, str], files: Collection[str]) -> list[str]:
    """Relative links in Markdown lead to files (or their directories), and anchors to headings."""
    known = set(files) | {parent for path in files for parent in _parents(path)}
    findings = []
    for path, text in pages.items():
        for link in _LINK.findall(_FENCE.sub("", text)):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            resolved = _resolve(path, target) if target else path
            if resolved not in known:
                findings.append(f"{path} links to {link}, which isn't there")
            elif anchor and resolved in pages and anchor not in _anchors(pages[resolved]):
                findings.append(f"{path} links to {link}: no such heading")
    return findings


def find_missing_paths(pages: Mapping[str, str], files: Collection[str]) -> list[str]:
    """A path in backticks, alone or in a command, that begins with one of our directories names what exists."""
    known = set(files) | {parent for path in files for parent in _parents(path)}
    tops = {path.partition("/")[0] for path in known if "/" in path}
    return [
        f"{path} speaks of {mentioned}, which isn't there"
        for path, text in pages.items()
        for span in _CODE_SPAN.findall(_FENCE.sub("", text))
        for mentioned in span.split()
        if _PATH.fullmatch(mentioned)
        and mentioned.partition("/")[0] in tops
        and mentioned.rstrip("/") not in known
    ]


def find_unknown_make_targets(pages: Mapping[str, str], makefile: str) -> list[str]:
    """Each `make …` that is promised is a target."""
    targets = set(_TARGET.findall(makefile))
    return [
        f"{path} promises `make {name}`, which the Makefile doesn't have"
        for path, text in pages.items()
        for name in sorted({first or second for first, second in _MAKE.findall(text)} - targets)
    ]


def find_unknown_commands(pages: Mapping[str, str], commands: Mapping[str, Collection[str]]) -> list[str]:
    """Each `program command` in backticks or in a code block is one that the program has."""
    findings = []
    for program, known in commands.items():
        pattern = re.compile(rf"(?:`|^\s*(?:\$ )?){re.escape(program)} ([a-z][a-z-]*)\b", re.MULTILINE)
        for path, text in pages.items():
            findings += [
                f"{path} promises `{program} {name}`, which there isn't"
                for name in sorted(set(pattern.findall(text)) - set(known))
            ]
    return findings


def find_bad_decisions(pages: Mapping[str, str], directory: str = "docs/decisions") -> list[str]:
    """Decisions are numbered from 0001 without gaps, named in the index, and say context, decision and consequences."""
    index = pages.get(f"{directory}/README.md", "")
    findings, numbers = [], []
    for path in sorted(pages):
        name = path.removeprefix(f"{directory}/")
        if not path.startswith(f"{directory}/") or name == "README.md":
            continue
        match = _DECISION.match(name)
        if match is None:
            findings.append(f"{path}: expected a name such as 0001-what-was-decided.md")
            continue
        numbers.append(int(match[1]))
        if f"({name})" not in index:
            findings.append(f"{path} isn't in {directory}/README.md")
        missing = [
            part for part in ("Context", "Decision", "Consequences") if f"\n## {part}\n" not in pages[path]
        ]
        findings += [f"{path} has no section {part}" for part in missing]
    if numbers != list(range(1, len(numbers) + 1)):
        findings.append(f"{directory}: numbers aren't 1, 2, 3 … but {numbers}")
    return findings


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for length in range(1, len(parts)):
        yield "/".join(parts[:length])


def _resolve(page: str, target: str) -> str:
    parts = page.split("/")[:-1]
    for part in target.rstrip("/").split("/"):
        if part == "..":
            parts = parts[:-1] if parts else [".."]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _anchors(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in _HEADING.findall(_FENCE.sub("", text))
    }
