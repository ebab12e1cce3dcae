"""Output for the documentation, from real runs against a simulated account.

What differs from run to run is made the same: times, durations, the port.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping

from exporter.simulator.server import Simulator

PORT = "10180"
TIME = "2026-01-31T12:00:00.000Z"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def check() -> str:
    """``--check`` of an account that works."""
    with Simulator() as simulator:
        return _block("cloudflare-mcp-exporter --check", _run("--check", **simulator.environment()))


def check_failed() -> str:
    """``--check`` with a token that the API does not know."""
    with Simulator() as simulator:
        environ = {**simulator.environment(), "CLOUDFLARE_API_TOKEN": "a" * 40}
        return _block("cloudflare-mcp-exporter --check", _run("--check", **environ))


def start() -> str:
    """The log of the start, until the account is listed."""
    with Simulator() as simulator:
        log, _ = _serve(dict(simulator.environment()))
    return _block("cloudflare-mcp-exporter", log)


def demo() -> str:
    """What the demo prints at its start."""
    return _block("make demo", _serve({}, "--demo")[0])


def metrics() -> str:
    """Some of what the demo exposes at its start."""
    _, text = _serve({}, "--demo")
    wanted = [
        re.sub(r"(?<=} )\d{4,}\.\d+", lambda found: f"{float(found[0]) // 100 * 100}", line)
        for line in text.splitlines()
        if 'server_id="shipping"' in line and re.search("_info|_error|staleness", line)
    ]
    command = (
        f"curl -s http://127.0.0.1:{PORT}/metrics | "
        """grep '"shipping"' | grep -E '_info|_error|staleness'"""
    )
    return _block(command, "\n".join(wanted))


def _block(command: str, output: str) -> str:
    return f"```console\n$ {command}\n{output.rstrip()}\n```\n"


def _run(*flags: str, **environ: str) -> str:
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "exporter", *flags],
        env={**ENVIRONMENT, **environ},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return _same(ended.stdout)


def _serve(environ: Mapping[str, str], *flags: str) -> tuple[str, str]:
    """The output until the first account is listed, and the metrics then."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "exporter", "--web.listen-address=:0", *flags],
        env={**ENVIRONMENT, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            lines: list[str] = []
            while "listing succeeded" not in "".join(lines[-1:]):
                line = running.stdout.readline() if running.stdout else ""
                if not line:
                    raise RuntimeError("".join(lines))
                lines.append(line)
            port = re.findall(r"address=\S+:(\d+)", "".join(lines))[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
        finally:
            running.terminate()
    return _same("".join(lines)).replace(f":{port}", f":{PORT}"), text


def _same(text: str) -> str:
    text = re.sub(r"time=\S+", f"time={TIME}", text)
    text = re.sub(r"seconds=[\d.]+", "seconds=0.021", text)
    return re.sub(r" in [\d.]+ s$", " in 0.021 s", text, flags=re.MULTILINE)
