"""A Debian machine to install packages on: this one's files with a layer of their own above, where dpkg really works.

Nothing of it touches this machine: each command runs in mount and process namespaces of its own, on an overlay that
keeps what earlier commands changed. No systemd runs there, as in an image that is being made.
"""

import os
import shutil
import subprocess
from pathlib import Path

_ENTER = """
set -e
mount -t overlay overlay -o lowerdir=/,upperdir="$0/upper",workdir="$0/work" "$0/root"
mount -t proc proc "$0/root/proc"
mount -t tmpfs tmpfs "$0/root/run"
mount --rbind /dev "$0/root/dev"
exec chroot "$0/root" "$@"
"""
_LIMIT_S = 120
_AS_ROOT = () if os.getuid() == 0 else ("sudo", "-n")
_PROGRAMS = ("unshare", "chroot", "dpkg", "systemd-sysusers", "systemd-tmpfiles")


class DebianMachine:
    """Commands run as its root.

    `directory`: empty, on a local disk. `like`: another one that it begins as.
    """

    def __init__(self, directory: Path, like: "DebianMachine | None" = None) -> None:
        missing = [name for name in _PROGRAMS if shutil.which(name, path=self._path()) is None]
        assert not missing, f"install {', '.join(missing)}: tools/setup does it on Debian"
        self.directory = directory
        for name in ("upper", "work", "root"):
            (directory / name).mkdir()
        if like is not None:
            subprocess.run([*_AS_ROOT, "cp", "-a", f"{like.directory}/upper", str(directory)], check=True)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run it there to its end, whatever that is."""
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER]
        return subprocess.run(
            [*_AS_ROOT, *inside, str(self.directory), *command],
            env={"PATH": self._path(), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )

    def do(self, *command: str) -> str:
        """Run it there and return what it printed; it has to succeed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def dpkg(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run dpkg; a power cut is nothing to wait for here."""
        return self.run("dpkg", "--force-unsafe-io", *arguments)

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file of its root's into a directory that is there."""
        done = self.directory / "content"
        done.write_bytes(content)
        self.do("install", "-m", oct(mode)[2:], str(done), path)

    def has(self, path: str) -> bool:
        return self.run("test", "-e", path).returncode == 0

    @staticmethod
    def _path() -> str:
        return "/usr/sbin:/usr/bin:/sbin:/bin"
