"""`make deb`: builds the gateway's Debian package, with the Python packages that this work tree was tested with.

    .venv (requirements-edge.lock) ──▶ /usr/lib/wastelock/releases/VERSION/site-packages   packages, agent, bytecode
    debian/gateway                 ──▶ /usr/bin/edge-agent, maintainer scripts
    systemd, config, docs          ──▶ unit, users, directories; example in /etc/wastelock; handbook

Two builds of one commit are equal, byte by byte: times come from SOURCE_DATE_EPOCH, or else from the commit.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NAME = "wastelock-gateway"
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
_OURS = ("wastelock", "edge_agent")
# sqlite-utils asks for pip for a command that nobody uses here; a gateway knows no time but UTC.
_LEFT_OUT = frozenset({"pip", "tzdata"})
_NOT_SHIPPED = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
_FILES = {
    "debian/gateway/edge-agent": "usr/bin/edge-agent",
    "systemd/wastelock-edge-agent.service": "usr/lib/systemd/system/wastelock-edge-agent.service",
    "systemd/sysusers.d/wastelock-gateway.conf": "usr/lib/sysusers.d/wastelock-gateway.conf",
    "systemd/tmpfiles.d/wastelock-gateway.conf": "usr/lib/tmpfiles.d/wastelock-gateway.conf",
    "config/gateway/edge-agent.toml": "etc/wastelock/edge-agent.toml.example",
    "config/edge-agent.toml": f"usr/share/doc/{NAME}/edge-agent.toml",
    "docs/edge-agent.md": f"usr/share/doc/{NAME}/edge-agent.md",
    "docs/operations-gateway.md": f"usr/share/doc/{NAME}/operations-gateway.md",
}
_KEYS = "etc/wastelock/keys"
_CONFFILES = ("/etc/wastelock/edge-agent.toml.example",)


class BuildError(Exception):
    """The package can't be built: the message says what is missing."""


def build(out: Path, version: str | None = None, compression: tuple[str, ...] = ("-Zxz",)) -> Path:
    """Build the package into the directory `out` and return its file. `compression`: options of dpkg-deb."""
    version = version or tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    epoch_s = _source_date_epoch_s()
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="deb-") as directory:
        stage = Path(directory)
        _stage_python(stage / f"usr/lib/wastelock/releases/{version}/site-packages", version)
        _compile(stage, epoch_s)
        for source, target in _FILES.items():
            (stage / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, stage / target)
        (stage / _KEYS).mkdir()
        architecture = _run("dpkg", "--print-architecture").strip()
        _write_control(stage, version, architecture)
        _settle(stage, epoch_s)
        package = out / f"{NAME}_{version}_{architecture}.deb"
        _run(
            *("dpkg-deb", "--build", "--root-owner-group", *compression, str(stage), str(package)),
            SOURCE_DATE_EPOCH=str(epoch_s),
        )
    return package


def _stage_python(site: Path, version: str) -> None:
    """Copy what requirements-edge.lock names from the running environment, then the agent itself."""
    for line in (ROOT / "requirements-edge.lock").read_text().splitlines():
        wanted = Requirement(line)
        if wanted.name in _LEFT_OUT or (wanted.marker is not None and not wanted.marker.evaluate()):
            continue
        found = distribution(wanted.name)
        if found.version not in wanted.specifier:
            raise BuildError(
                f"{wanted.name} {found.version} is installed, {line} is wanted: run `make setup`"
            )
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in _NOT_SHIPPED:
                _copy(Path(str(file.locate())), site / file)
    for package in _OURS:
        for path in _sources(ROOT / package):
            _copy(path, site / path.relative_to(ROOT))
    about = site / f"wastelock-{version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: wastelock\nVersion: {version}\n")


def _sources(package: Path) -> Iterator[Path]:
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _compile(stage: Path, epoch_s: int) -> None:
    """Ship bytecode that is never checked: the agent may not write any, and a small gateway compiles for a minute."""
    _touch(stage, epoch_s)
    # In a process of its own: bytecode depends on which strings the compiling one has seen before.
    command = (sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
    _run(*command, "-s", str(stage), "-p", "/", str(stage / "usr/lib/wastelock"), PYTHONHASHSEED="0")


def _write_control(stage: Path, version: str, architecture: str) -> None:
    files = [path for path in sorted(stage.rglob("*")) if path.is_file()]
    control = stage / "DEBIAN"
    control.mkdir()
    (control / "md5sums").write_text(
        "".join(
            f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(stage)}\n"
            for path in files
        )
    )
    (control / "conffiles").write_text("".join(f"{name}\n" for name in _CONFFILES))
    major, minor = sys.version_info[:2]
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture,
        "INSTALLED_SIZE": str(sum(path.stat().st_size // 1024 + 1 for path in files)),
        "PYTHON": f"{major}.{minor}",
        "NEXT_PYTHON": f"{major}.{minor + 1}",
    }
    for name in ("control.in", *_SCRIPTS):
        text = (ROOT / "debian/gateway" / name).read_text()
        (control / name.removesuffix(".in")).write_text(re.sub("@([A-Z_]+)@", lambda m: values[m[1]], text))


def _settle(stage: Path, epoch_s: int) -> None:
    """Give everything the rights and the time that it shall have, whoever builds it and when."""
    programs = {stage / "usr/bin/edge-agent", *(stage / "DEBIAN" / name for name in _SCRIPTS)}
    for path in stage.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path in programs else 0o644)
    stage.chmod(0o755)
    (stage / _KEYS).chmod(0o700)
    _touch(stage, epoch_s)


def _touch(stage: Path, epoch_s: int) -> None:
    for path in (stage, *stage.rglob("*")):
        os.utime(path, (epoch_s, epoch_s))


def _source_date_epoch_s() -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or _run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))


def _run(*command: str, **environment: str) -> str:
    if shutil.which(command[0]) is None:
        raise BuildError(f"{command[0]} is needed, and isn't there: on Debian it comes with dpkg and git")
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command[:2])} failed: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    """Build it and say where it is."""
    parser = argparse.ArgumentParser(description="Build the gateway's Debian package.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", help="directory for the package (default: dist)"
    )
    parser.add_argument("--version", help="another version than that of pyproject.toml")
    options = parser.parse_args()
    try:
        print(build(options.out, options.version))
    except BuildError as error:
        sys.exit(f"deb: {error}")


if __name__ == "__main__":
    main()
