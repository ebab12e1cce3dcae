"""Runs the examples of the documentation and puts what they print into the pages: ``make docs``.

An example is a ``console`` block after a comment ``<!-- example: SETTING -->``. The lines that
begin with ``$`` are run in one shell, and what each prints to standard output is put below it. The
setting says what exists when they run: see `SETTINGS`. The API is the simulator, with its clock
stopped at the start. Ports and durations are replaced by fixed ones.

With ``--check`` nothing is written, and the status is 1 if a page would change. With ``--at
SECONDS`` only the examples of the demo are run, so long after its start: their output must be the
same whenever a reader tries them.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import requests

from exporter.simulator.account import Account
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account

ROOT = Path(__file__).parent.parent
EXAMPLE = re.compile(r"(<!-- example: ([\w-]+) -->\n\n```console\n)(.*?)(```\n)", re.DOTALL)
PORT = "10180"
"""The exporter's own, which readers see; here it may be in use."""
DEADLINE = 60.0
"""Seconds for anything that takes a moment."""


# --- the settings ------------------------------------------------------------------------------


def _environment(simulator: Simulator | None = None) -> dict[str, str]:
    """What a shell needs, and the variables of the account."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TZ") if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**kept, "PATH": path, **(simulator.environment() if simulator else {})}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _exporter(environment: Mapping[str, str], *flags: str) -> Iterator[tuple[str, Path]]:
    """A running exporter: its port, and the file with its standard output."""
    port = _free_port()
    command = [sys.executable, "-m", "exporter", f"--web.listen-address=127.0.0.1:{port}", *flags]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        with output.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - our own
                command, env=environment, cwd=folder, stdout=file, stderr=subprocess.DEVNULL
            )
        try:
            _await_ready(process, f"http://127.0.0.1:{port}/-/ready")
            yield str(port), output
        finally:
            process.terminate()
            process.wait(DEADLINE)


def _await_ready(process: subprocess.Popen[bytes], url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False  # no proxy of this machine
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if session.get(url, timeout=DEADLINE).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.05)
    raise RuntimeError("the exporter does not serve")


@contextmanager
def _simulator(at: float = 0.0, account: Account | None = None) -> Iterator[Simulator]:
    """The account of the demo, or another one, so many seconds after its story began."""
    moments = iter([time.time() - at])  # the story begins at the first
    now = time.time()
    with Simulator(account, clock=lambda: next(moments, now)) as simulator:
        yield simulator


def _shell(
    commands: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    errors: int = subprocess.DEVNULL,
) -> list[str]:
    """What each command prints, all of them run in one shell; ``errors`` is standard error."""
    script = "".join(f"{command}\nprintf '\\0'\n" for command in commands)
    ended = subprocess.run(  # noqa: S603 - what the pages tell readers to run
        ["bash", "-c", script],  # noqa: S607
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    return ended.stdout.split("\0")[: len(commands)]


Run = Callable[[Sequence[str]], list[str]]
"""Takes the commands of a block and returns what each prints."""


@contextmanager
def _make_demo() -> Iterator[Run]:
    """``make demo``, as it is started; only it can be run."""

    def run(commands: Sequence[str]) -> list[str]:
        if list(commands) != ["make demo"]:
            raise ValueError(f"only `make demo` can be run here, not {commands}")
        with _exporter(_environment(), "--demo") as (port, output):
            return [output.read_text().replace(port, PORT)]

    yield run


@contextmanager
def _demo(at: float = 0.0) -> Iterator[Run]:
    """The demo is running, on the usual port as far as the commands know."""
    with (
        _simulator(at) as simulator,
        _exporter(_environment(simulator), "--collector.servers") as (port, _),
        tempfile.TemporaryDirectory() as folder,
    ):
        yield lambda commands: [
            text.replace(port, PORT)
            for text in _shell(
                [command.replace(PORT, port) for command in commands], _environment(), folder
            )
        ]


CONFIG = """\
accounts:
  - name: production
    account_id: 51301a7ed51301a7ed51301a7ed51301
    api_token_file: token
  - name: staging
    account_id: 89abcdef0123456789abcdef01234567
    api_token_file: token
"""


@contextmanager
def _account() -> Iterator[Run]:
    """The environment has an account, and a file config.yml has it and another one."""
    with _simulator() as simulator, tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.yml").write_text(CONFIG)
        Path(folder, "token").write_text(simulator.token)
        yield lambda commands: _shell(commands, _environment(simulator), folder)


@contextmanager
def _account_refused() -> Iterator[Run]:
    """The token in the environment lacks the permission."""
    with _simulator() as simulator, tempfile.TemporaryDirectory() as folder:
        environment = _environment(simulator)
        environment["CLOUDFLARE_API_TOKEN"] = simulator.token_without_permission
        yield lambda commands: _shell(commands, environment, folder)


@contextmanager
def _misspelled_key() -> Iterator[Run]:
    """The file config.yml has an unknown key; the error is printed, too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.yml").write_text(f"{CONFIG}    per_pge: 50\n")
        Path(folder, "token").write_text("0" * 40)
        yield lambda commands: _shell(commands, _environment(), folder, subprocess.STDOUT)


@contextmanager
def _comparison(account: Account | None = None) -> Iterator[Run]:
    """The environment has an account, and portals.sh is the script of that page."""
    page = (ROOT / "docs" / "operating" / "comparison.md").read_text()
    _, _, rest = page.partition("cat > portals.sh <<'EOF'\n")
    with _simulator(account=account) as simulator, tempfile.TemporaryDirectory() as folder:
        Path(folder, "portals.sh").write_text(rest.partition("EOF\n")[0])
        yield lambda commands: _shell(commands, _environment(simulator), folder)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Run]]] = {
    "account": _account,
    "account-refused": _account_refused,
    "comparison": _comparison,
    "comparison-large": lambda: _comparison(uniform_account(portals=25, servers=4, tools=20)),
    "demo": _demo,
    "make-demo": _make_demo,
    "misspelled-key": _misspelled_key,
}


# --- the pages ---------------------------------------------------------------------------------


def _commands(block: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", block, re.MULTILINE)


def _steady(output: str) -> str:
    """The output with a usual duration in place of this run's."""
    return re.sub(r"\b\d+\.\d+ s\b", "0.1 s", output)


def rendered(page: str, at: float) -> str:
    """The page with the output of each of its examples."""

    def run(found: re.Match[str]) -> str:
        if at and found[2] != "demo":
            return found[0]
        enter = partial(_demo, at) if at else SETTINGS[found[2]]
        commands = _commands(found[3])
        with enter() as setting:
            outputs = setting(commands)
        pairs = zip(commands, outputs, strict=True)
        shown = "".join(f"$ {command}\n{_steady(output)}" for command, output in pairs)
        return f"{found[1]}{shown.rstrip()}\n{found[4]}"

    return EXAMPLE.sub(run, page)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pages, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--at", type=float, default=0.0, help="seconds since the demo began")
    options = parser.parse_args(argv)
    stale = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        new = rendered(text, options.at)
        if new == text:
            continue
        stale = 1
        if options.check:
            sys.stderr.write(f"{page.relative_to(ROOT)} is stale: run make docs\n")
        else:
            page.write_text(new)
    return stale if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
