"""Packs redacted pieces into one compressed file, whole or not at all, for nobody's eyes but its owner's."""

import io
import os
import tarfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from edge_agent.errors import MediumFailed
from edge_agent.technician.bundle.contents import Piece
from edge_agent.technician.bundle.redaction import Redaction


def pack(
    file: Path, directory: str, pieces: Iterable[Piece], redaction: Redaction, at: datetime
) -> list[str]:
    """Write the pieces, redacted, into `file` (.tar.gz, below `directory` in it); return their names.

    MediumFailed where it can't be written.
    """
    names, unfinished = [], file.with_name(f".{file.name}.part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz") as tar:
                for piece in pieces:
                    content = redaction.apply(piece.text).encode()
                    info = tarfile.TarInfo(f"{directory}/{piece.name}")
                    info.size, info.mtime, info.mode = len(content), int(at.timestamp()), 0o600
                    tar.addfile(info, io.BytesIO(content))
                    names.append(piece.name)
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.rename(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise MediumFailed(
            f"{file}: can't be written ({error.strerror}); remedy: name another file with --out"
        ) from error
    return names
