"""``--once`` and ``--check``: list every account once and print, without a server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from exporter.account_probes import AccountProbes, Finding
from exporter.accounts import Accounts
from exporter.errors import ExporterError, SettingsError
from exporter.metrics.catalog import ALL
from exporter.metrics.formats import Format
from exporter.model import Inventory
from exporter.probes.hints import hint
from exporter.scrape_result import ListingResult

NAMES = frozenset(metric.name for metric in ALL)
"""Our own families. node_exporter exposes its own process metrics and rejects a second process'
under the same names."""

SUFFIX = ".prom"
"""The file name suffix that node_exporter reads; it ignores other files."""


def write(output: BinaryIO, text: str) -> None:
    """Write UTF-8, whatever the locale; a closed pipe (``| head``) is not an error."""
    try:
        output.write(text.encode("utf-8", "replace"))
        output.flush()
    except BrokenPipeError:
        with suppress(OSError):  # or the interpreter tries to flush it again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


# --- one exposition, to standard output or to a file for the node_exporter ---------------------


async def expose_once(accounts: Accounts, textfile: str, output: BinaryIO) -> int:
    """List every account once and write the exposition in the text format.

    Args:
        accounts: to list.
        textfile: file to write atomically; empty for ``output``.
        output: standard output.

    Returns:
        The exit status: 0, or 1 when an account failed (the exposition says which).

    Raises:
        SettingsError: the file cannot be written.
    """
    target = _checked(textfile) if textfile else None
    scrapes = await accounts.scrape(None)
    exposition = b"".join(accounts.expose(scrapes, Format.TEXT, NAMES))
    if target is None:
        write(output, exposition.decode())
    else:
        _write(target, exposition)
    return int(any(scrape.failure is not None for scrape in scrapes.accounts))


def _checked(textfile: str) -> Path:
    """The path, if a file can be written there: checked before the API is asked."""
    target = Path(textfile)
    if target.suffix != SUFFIX:
        raise SettingsError(
            f"--textfile: {textfile} must end in {SUFFIX}, otherwise node_exporter ignores it"
        )
    if not target.parent.is_dir():
        raise SettingsError(
            f"--textfile: the directory {target.parent} does not exist; create it first"
        )
    return target


def _write(target: Path, exposition: bytes) -> None:
    """Write a temporary file and rename it, so that a reader sees the old file or the new one."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(exposition)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)  # the node_exporter runs as another user
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise SettingsError(
            f"--textfile: cannot write {target}: {(problem.strerror or 'unknown').lower()}"
        ) from None


# --- access to the accounts --------------------------------------------------------------------


async def check(
    accounts: Accounts, form: str, output: BinaryIO, probes: AccountProbes | None = None
) -> int:
    """List every account once and report what works, and how to fix what does not.

    Args:
        accounts: to list.
        form: ``text`` or ``json``.
        output: standard output.
        probes: probe what they allow, too; None for listing alone.

    Returns:
        The exit status: 0, or 1 when an account or a probe failed.
    """
    scrapes = (await accounts.scrape(None)).accounts
    found = [
        _facts(scrape, [] if probes is None else await _probed(probes, scrape))
        for scrape in scrapes
    ]
    write(output, REPORTS[form](found))
    return int(not all(one["ok"] for one in found))


async def _probed(probes: AccountProbes, scrape: ListingResult) -> list[dict[str, Any]]:
    """The probes of one account as in the JSON report."""
    if scrape.failure is not None:
        return []
    try:
        findings = await probes.survey(scrape.account_id)
    except ExporterError as problem:
        error = str(problem) or "too many probes are in progress"
        return [{"kind": "account", "id": scrape.account_id, "ok": False, "error": error}]
    return [_probe_facts(one) for one in findings]


def _probe_facts(found: Finding) -> dict[str, Any]:
    result = found.result
    facts: dict[str, Any] = {
        "kind": found.kind,
        "id": found.id,
        "ok": result.success,
        "outcome": result.outcome.value,
        "seconds": round(sum(result.phases.values()), 3),
    }
    if result.problem:
        facts["error"] = result.problem
    if not result.success:
        facts["hint"] = hint(result.outcome)
    hidden = sorted(one for one, count in (result.visible_tools or {}).items() if count == 0)
    if hidden:
        facts |= {
            "ok": False,
            "error": f"its users do not see: {', '.join(hidden)}",
            "hint": "add the service token to a policy of each server's Access application",
        }
    return facts


def _facts(scrape: ListingResult, probes: list[dict[str, Any]]) -> dict[str, Any]:
    """One account as in the JSON report."""
    facts: dict[str, Any] = {
        "name": scrape.account_name,
        "account_id": scrape.account_id,
        "ok": scrape.failure is None and all(one["ok"] for one in probes),
        "seconds": round(scrape.duration, 3),
    }
    if scrape.failure is not None:
        facts |= {
            "reason": scrape.failure.reason.value,
            "error": str(scrape.failure),
            "hint": scrape.failure.hint,
        }
    if scrape.inventory is not None:
        facts |= _counts(scrape.inventory)
    if probes:
        facts["probes"] = probes
    return facts


def _counts(inventory: Inventory) -> dict[str, int]:
    servers = [one.server for one in inventory.servers]
    return {
        "portals": len(inventory.portals),
        "servers": len(servers),
        "servers_in_error": sum(server.in_error for server in servers),
        "skipped_records": len(inventory.skipped),
    }


def _as_json(facts: list[dict[str, Any]]) -> str:
    report = {"ok": all(one["ok"] for one in facts), "accounts": facts}
    return json.dumps(report, indent=2) + "\n"


def _as_text(facts: list[dict[str, Any]]) -> str:
    return "".join(_paragraph(one) + _probe_lines(one) for one in facts)


def _probe_lines(facts: dict[str, Any]) -> str:
    """Each probe on a line of its own; those that failed with what to do."""
    lines: list[str] = []
    for one in facts.get("probes", ()):
        said = one.get("error") or one["outcome"]
        took = f", in {one['seconds']} s" if one["ok"] else ""
        lines.append(f"  probe {one['kind']} {one['id']}: {said}{took}")
        if one.get("hint"):
            lines.append(f"    {one['hint']}")
    return "".join(f"{line}\n" for line in lines)


def _paragraph(facts: dict[str, Any]) -> str:
    name = str(facts["name"])
    title = name if name == facts["account_id"] else f"{name} ({facts['account_id']})"
    if "reason" in facts:
        return (
            f"FAILED  {title}\n"
            f"  error   {facts['error']}\n"
            f"  reason  {facts['reason']}\n"
            f"  fix     {facts['hint']}\n"
        )
    text = (
        f"{'OK    ' if facts['ok'] else 'FAILED'}  {title}\n"
        f"  found   {facts['portals']} portals and {facts['servers']} servers "
        f"({facts['servers_in_error']} in error) in {facts['seconds']} s\n"
    )
    if facts["skipped_records"]:
        text += f"  note    skipped {facts['skipped_records']} invalid records; see the log\n"
    return text


REPORTS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "text": _as_text,
    "json": _as_json,
}
