"""The command line: run, check-config, status, keygen.

`run` must stay light on a small gateway (50 MiB), so its usual form is read here, before typer is even imported; all
other commands, `--help` and mistakes go to the typer application in commands.py.
"""

import sys
from pathlib import Path

from edge_agent.running import run


def main() -> None:
    """Entry point of `edge-agent`."""
    match sys.argv[1:]:
        case ["run", "--config", file] if not file.startswith("-"):
            sys.exit(run(Path(file)))
        case ["run", "--config", file, "--log-format", ("auto" | "json" | "logfmt") as log_format]:
            sys.exit(run(Path(file), log_format))
        case _:
            from edge_agent.commands import app

            app()


if __name__ == "__main__":
    main()
