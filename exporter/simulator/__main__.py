"""Runs the simulator alone: ``python -m exporter.simulator``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM; prints the environment that a client needs."""
    options = _parser().parse_args(argv)
    uniform = options.portals is not None
    simulator = Simulator(
        uniform_account(
            portals=options.portals,
            servers=options.servers,
            tools=options.tools,
            seed=options.seed,
        )
        if uniform
        else None,
        port=options.port,
        seed=options.seed,
        latency=options.latency,
        quota=options.quota or None,
    )
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with simulator:
        for name, value in simulator.environment().items():
            print(f"export {name}={value}")  # noqa: T201 - this is its output
        sys.stdout.flush()
        signal.sigwait(stops)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exporter.simulator",
        description="Simulated MCP portals API on 127.0.0.1, for tests and demonstrations.",
    )
    parser.add_argument("--port", type=int, default=0, help="port; 0 for any free one")
    parser.add_argument("--seed", type=int, default=0, help="seed for the generated tools")
    parser.add_argument(
        "--portals",
        type=int,
        help="portals of a uniform account",
    )
    parser.add_argument("--servers", type=int, default=20, help="servers per portal")
    parser.add_argument("--tools", type=int, default=20, help="tools per server")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per response")
    parser.add_argument(
        "--quota", type=int, default=1200, help="requests per five minutes; 0 for no limit"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
