"""What a technician's command keeps on disk: whole and fsynced, or not at all, also where the power goes meanwhile."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from edge_agent.errors import MediumFailed


def keep_file(path: Path, content: bytes) -> None:
    """Put the content in the file's place at once, over one that is there. MediumFailed where it can't be written."""
    keep_files({path: content})


def keep_files(contents: dict[Path, bytes]) -> None:
    """Put all of them in their places, in this order, once all of them are on the disk. MediumFailed: none is there."""
    passing: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            passing[path] = _write_passing(path, content)
        for path, written in passing.items():
            written.replace(path)
            _sync_directory(path.parent)
    except OSError as error:
        raise MediumFailed(
            f"{path}: can't be written ({error.strerror}): make room or see to the medium, then begin again; or name "
            "another directory with --out"
        ) from error
    finally:
        for written in passing.values():
            written.unlink(missing_ok=True)


def _write_passing(path: Path, content: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(PermissionError):  # FAT knows no modes
            Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems of sticks can't
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
