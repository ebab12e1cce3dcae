"""MCP servers made with the official SDK, as child processes on loopback.

The two lines of the SDK cannot be installed side by side, so each has a folder of its own. pip
fills it when a test first needs it, and it is kept from one run to the next.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from processes import Child, bare_environment

HERE = Path(__file__).parent
VERSIONS = {"modern": "2.3.0", "legacy": "1.30.0"}

LEGACY = """
from mcp.server.fastmcp import FastMCP
app = FastMCP("peer", json_response=(mode == "json"))
made = app.sse_app() if mode == "sse" else app.streamable_http_app()
"""
MODERN = """
from mcp.server import MCPServer
app = MCPServer("peer")
made = app.streamable_http_app()
"""
PROGRAM = """
import socket, sys
sys.path.insert(0, sys.argv[1])
mode = sys.argv[2]
{imports}

@app.tool()
def add(a: int, b: int) -> int:
    return a + b

@app.tool()
def subtract(a: int, b: int) -> int:
    return a - b

import uvicorn
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(made, log_level="info")).run(sockets=[listener])
"""


def sdk(line: str) -> Path:
    """A folder with the SDK of this line; where pip cannot fill it the test skips (CI: fails)."""
    version = VERSIONS[line]
    folder = HERE.parent / ".pytest_cache" / "mcp" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        if not (folder / "mcp").is_dir():
            _install(version, folder)
    return folder


def _install(version: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    done = subprocess.run(
        [*command, f"mcp=={version}"], capture_output=True, text=True, timeout=110, check=False
    )
    if done.returncode == 0:
        return
    message = f"pip ended with {done.returncode}: {done.stderr[-500:]}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def peer(line: str, mode: str, folder: Path) -> Iterator[tuple[str, Child]]:
    """The URL and the process of a server; ``mode`` is ``json``, ``stream`` or ``sse``."""
    program = folder / f"peer-{line}-{mode}.py"
    program.write_text(PROGRAM.format(imports=LEGACY if line == "legacy" else MODERN))
    child = Child(
        [sys.executable, str(program), str(sdk(line)), mode],
        folder / f"peer-{line}-{mode}.log",
        bare_environment(folder),
    )
    try:
        port = child.logged(r"listening on (\d+)")[1]
        yield f"http://127.0.0.1:{port}/{'sse' if mode == 'sse' else 'mcp'}", child
    finally:
        child.process.terminate()
        child.process.wait(10)
