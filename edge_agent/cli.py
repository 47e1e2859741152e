"""The command line: run, check-config, status, keygen.

`run` must stay light on a small gateway (50 MiB), so its usual form is read here, before typer is even imported; all
other commands, `--help` and mistakes go to the typer application in commands.py.
"""

import sys
from pathlib import Path


def main() -> None:
    """Entry point of `edge-agent`."""
    match sys.argv[1:]:
        case ["run", "--config", file] if not file.startswith("-"):
            sys.exit(run(Path(file)))
        case _:
            from edge_agent.commands import app

            app()


def run(config_file: Path) -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit code (78: the configuration can't work)."""
    # structlog imports rich, where it is there, to paint tracebacks: 5 MiB that a service never uses.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from edge_agent.agent import serve

    return serve(config_file)


if __name__ == "__main__":
    main()
