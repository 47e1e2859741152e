"""Runs the agent with as little in memory as it needs."""

import sys
from pathlib import Path


def run(config_file: Path, log_format: str = "auto") -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit code (78: the configuration can't work)."""
    # structlog imports rich, where it is there, to paint tracebacks: 5 MiB that a service never uses.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from edge_agent.agent import serve

    return serve(config_file, log_format)
