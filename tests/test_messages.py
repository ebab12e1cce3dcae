"""What the command and the log say, as other programs may parse it: one golden file.

``UPDATE_GOLDEN=1 python -m pytest tests/test_messages.py`` writes the file again; whatever changes
in it is a line in CHANGELOG.md.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from exporter.cloudflare.api_errors import HINT_BY_CODE
from exporter.errors import HINTS
from exporter.simulator.server import Simulator
from processes import ROOT, bare_environment
from rawserver import RawServer, answer, refusal, sends
from watching import ACCOUNT_ID, TOKEN

GOLDEN = Path(__file__).parent / "golden" / "messages.txt"


def called(name: str) -> Iterator[ast.Call]:
    """Each call of a function of this name in the package."""
    for file in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name:
                yield node


def words(node: ast.expr) -> list[str]:
    """The texts that an expression may be, with {} for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return words(node.body) + words(node.orelse)
        case ast.JoinedStr():
            pieces = (str(one.value) if isinstance(one, ast.Constant) else "{}"
                      for one in node.values)  # fmt: skip
            return ["".join(pieces)]
    return []


def log_lines() -> list[str]:
    """Level, message and fields of each line that the exporter may log."""
    lines = {
        " ".join(
            [
                f"level={level}",
                f'msg="{message}"',
                *sorted(f"{one.arg}=" for one in call.keywords if one.arg),
            ]
        )
        for call in called("event")
        for level in (ast.unparse(call.args[1]).rpartition(".")[2].lower(),)
        for message in words(call.args[2])
    }  # fmt: skip
    return sorted(lines)


def http_answers() -> list[str]:
    """Status and body of each plain answer."""
    return sorted(
        {
            f"{ast.unparse(call.args[0])} {text}"
            for call in called("plain")
            if len(call.args) > 1
            for text in words(call.args[1])
        }
    )


def run(home: Path, *flags: str, **environ: str) -> str:
    """What the command prints, with what differs from run to run left out."""
    ended = subprocess.run(
        [sys.executable, "-m", "exporter", *flags],
        env={**bare_environment(home), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "".join(f"stderr: {line}\n" for line in ended.stderr.splitlines())
    said += "".join(f"stdout: {line}\n" for line in ended.stdout.splitlines())
    said = re.sub(r"\b\d+\.\d{1,3}\b(?= s|,$)", "N", said, flags=re.MULTILINE)
    said = re.sub(r'"seconds": [\d.]+', '"seconds": N', said)
    said = re.sub(r'(time=|"time":")[\dTZ:.-]+', r"\1TIME", said)
    return f"$ cloudflare-mcp-exporter {' '.join(flags)}\n{said}status: {ended.returncode}\n"


def runs(home: Path, simulator: Simulator) -> Iterator[str]:
    """The one-shot commands and errors at start."""
    good = simulator.environment()
    bad_settings = {"CLOUDFLARE_API_TOKEN": "changeme", "CLOUDFLARE_ACCOUNT_ID": "xyz"}
    yield run(home, "--check", **good)
    yield run(home, "--config.check", **good)
    yield run(home)
    yield run(home, "--log.format=json", **bad_settings)
    yield run(home, "--log.format=logfmt", **bad_settings)
    yield run(home, "--config.check", "--no-demo", CLOUDFLARE_MCP_EXPORTER_LOG_LEVLE="x", **good)
    yield run(home, "-web.listen-address=:1", "serve")
    with RawServer(sends(answer(refusal(10000, "Authentication error"), "403 Forbidden"))) as api:
        environ = {
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID,
            "CLOUDFLARE_BASE_URL": api.base_url,
        }
        yield run(home, "--check", **environ)
        yield run(home, "--check", "--format=json", **environ)


def test_the_messages_are_those_of_the_golden_file(tmp_path: Path, simulator: Simulator) -> None:
    hints = [f"{reason.value}: {hint}" for reason, hint in HINTS.items()]
    hints += [f"code {code}: {hint}" for code, hint in HINT_BY_CODE.items()]
    parts = {
        "Log lines: level, message, fields": "\n".join(log_lines()),
        "Hints by reason, and by error code of the API": "\n".join(hints),
        "Plain HTTP responses": "\n".join(http_answers()),
        "Commands": "\n".join(runs(tmp_path, simulator)).strip(),
    }
    said = "\n".join(f"# {title}\n\n{part}\n" for title, part in parts.items())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(said)
    assert said == GOLDEN.read_text()


def test_every_line_of_the_log_is_found() -> None:
    found = "\n".join(log_lines())
    for message in ("listing failed", "listing succeeded", "listening", "cannot start", "starting"):
        assert f'msg="{message}"' in found
    assert len(log_lines()) > 20


def test_the_report_for_programs_is_one_json_object(tmp_path: Path, simulator: Simulator) -> None:
    said = run(tmp_path, "--check", "--format=json", **simulator.environment())
    body = "".join(
        line.removeprefix("stdout: ") for line in said.splitlines() if line.startswith("stdout: ")
    )
    report = json.loads(body.replace("N,", "0,"))
    assert set(report) == {"ok", "accounts"}
    assert {"name", "account_id", "ok", "seconds"} <= set(report["accounts"][0])
