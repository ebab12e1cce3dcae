"""``--check``: tries each account and says in words what works, and how to mend what does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

from exporter.model import Inventory
from exporter.scrape import Scrape
from exporter.service import Service


def check(service: Service, form: str, output: TextIO) -> int:
    """List every account once and report.

    Args:
        service: of the accounts.
        form: ``text`` or ``json``.
        output: standard output.

    Returns:
        The exit status: 0, or 1 when an account failed.
    """
    accounts = service.begin(None).result().accounts
    output.write(REPORTS[form](accounts))
    output.flush()
    return int(any(account.failure is not None for account in accounts))


def _facts(scrape: Scrape) -> dict[str, Any]:
    """What is known of one account, as the JSON report shows it."""
    facts: dict[str, Any] = {
        "name": scrape.account_name,
        "account_id": scrape.account_id,
        "ok": scrape.failure is None,
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
    return facts


def _counts(inventory: Inventory) -> dict[str, int]:
    servers = [one.server for one in inventory.servers]
    return {
        "portals": len(inventory.portals),
        "servers": len(servers),
        "servers_in_error": sum(server.in_error for server in servers),
        "skipped_records": len(inventory.skipped),
    }


def _as_json(accounts: tuple[Scrape, ...]) -> str:
    facts = [_facts(account) for account in accounts]
    report = {"ok": all(one["ok"] for one in facts), "accounts": facts}
    return json.dumps(report, indent=2) + "\n"


def _as_text(accounts: tuple[Scrape, ...]) -> str:
    return "".join(_paragraph(_facts(account)) for account in accounts)


def _paragraph(facts: dict[str, Any]) -> str:
    name = str(facts["name"])
    title = name if name == facts["account_id"] else f"{name} ({facts['account_id']})"
    if not facts["ok"]:
        return (
            f"FAILED  {title}\n"
            f"  what  {facts['error']} (reason {facts['reason']})\n"
            f"  mend  {facts['hint']}\n"
        )
    text = (
        f"OK      {title}\n"
        f"  seen  {facts['portals']} portals and {facts['servers']} servers, "
        f"{facts['servers_in_error']} of them in error, in {facts['seconds']} s\n"
    )
    if facts["skipped_records"]:
        text += (
            f"  note  {facts['skipped_records']} records could not be read; the log names them\n"
        )
    return text


REPORTS: dict[str, Callable[[tuple[Scrape, ...]], str]] = {"text": _as_text, "json": _as_json}
