"""Command line of the simulator: `firmware-sim run`, `firmware-sim check`."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from firmware_sim.config import load_estate
from firmware_sim.errors import EXIT_CONFIG, ConfigError, SimulatorError
from firmware_sim.scenario import load_scenario
from firmware_sim.simulator import Options, Simulator

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Waste-lock controllers to test a gateway with."
)

_Config = Annotated[Path, typer.Option("--config", help="TOML file with buses and locks.")]
_Scenario = Annotated[
    Path | None, typer.Option("--scenario", help="TOML file with faults and other actions in time.")
]


@app.command()
def run(
    config: _Config,
    state: Annotated[
        Path, typer.Option("--state", help="Directory of the controllers' memories; survives a kill -9.")
    ],
    truth: Annotated[
        Path | None, typer.Option("--truth", help="JSON lines: every record that was made.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same residents, same days.")] = 1,
    speed: Annotated[
        float, typer.Option("--speed", min=0.001, max=100_000, help="Residents' seconds in one of ours.")
    ] = 1.0,
    scenario: _Scenario = None,
    control: Annotated[
        Path | None, typer.Option("--control", help="Unix socket: JSON lines, one action each.")
    ] = None,
    backlog_days: Annotated[
        float, typer.Option("--backlog-days", min=0, max=3650, help="Days lived before ready.")
    ] = 0.0,
    keep_pace: Annotated[
        bool,
        typer.Option("--keep-pace", help="Live the backlog after ready, as fast as a gateway drains it."),
    ] = False,
    calendar_ahead_s: Annotated[
        float,
        typer.Option("--calendar-ahead-s", help="The residents' calendar is so far ahead of the clock."),
    ] = 0.0,
) -> None:
    """Run an estate until SIGTERM; the first line on stdout says where its buses are.

    Example: firmware-sim run --config config/sim-estate.toml --state /tmp/estate --truth truth.jsonl --backlog-days 90
    """
    try:
        estate = load_estate(config)
        actions = tuple(load_scenario(scenario, estate)) if scenario else ()
        options = Options(
            state, truth, seed, speed, actions, control, backlog_days, keep_pace, calendar_ahead_s
        )
        asyncio.run(_run(Simulator(estate, options)))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from error
    except SimulatorError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command()
def check(config: _Config, scenario: _Scenario = None) -> None:
    """Check a configuration and a scenario and say all that is wrong with them.

    Example: firmware-sim check --config config/sim-estate.toml --scenario config/sim-scenario.toml
    """
    try:
        estate = load_estate(config)
        actions = load_scenario(scenario, estate) if scenario else []
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from error
    typer.echo(f"{config}: {len(estate.locks)} locks on {len(estate.buses)} buses")
    if scenario:
        typer.echo(f"{scenario}: {len(actions)} actions")


async def _run(simulator: Simulator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await simulator.run(stop, lambda line: print(line, flush=True))


def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    app()


if __name__ == "__main__":
    main()
