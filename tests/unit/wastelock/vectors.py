"""Reads the test vectors in tests/vectors."""

import json
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).parents[2] / "vectors"


def load_vectors(name: str) -> Any:
    """Return the content of `tests/vectors/{name}.json`."""
    return json.loads((_DIRECTORY / f"{name}.json").read_text())
