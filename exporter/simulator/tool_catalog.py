"""Generated MCP tools and prompts of realistic shape and size; deterministic by seed.

Names depend only on the nouns, not on the seed, so that a scenario can name a tool. Sizes
follow what real servers offer: as JSON a tool has a median of about 0.9 kB, a mean of about
1.4 kB and at most about 6 kB.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import msgspec

VERBS = ("list", "get", "create", "update", "delete", "search", "export")
TOPICS = ("overview", "triage", "weekly_report", "handover", "review", "explain")

_READ_ONLY = frozenset({"list", "get", "search", "export"})
_MEDIAN_BYTES = 900
_SPREAD = 1.0
_MAX_BYTES = 5900
_FIELDS = (
    ("id", "string", "The identifier, as returned by the list and search tools."),
    ("query", "string", "What to look for. Words are combined; quote a phrase to keep it whole."),
    ("limit", "integer", "How many entries to return at most in one answer."),
    ("cursor", "string", "The cursor of the previous answer, to read on where it ended."),
    ("created_after", "string", "Keep entries made at or after this time only (RFC 3339)."),
    ("include_archived", "boolean", "Whether entries that were archived are included."),
    ("labels", "array", "Keep entries that carry every one of these labels."),
    ("order", "enum", "How the entries are sorted."),
    ("assignee", "string", "The account name of the person in charge, or 'none'."),
    ("fields", "array", "Which fields to return; all of them when this is left out."),
    ("confidence", "number", "Leave out entries whose score is lower than this."),
    ("metadata", "object", "Further attributes as names and values, kept as they are."),
)
_SENTENCES = (
    "Use this when the user names a concrete entry.",
    "The answer is paged; pass the cursor on to read further.",
    "Returns an error when the entry is unknown or the user may not see it.",
    "Prefer the search tool when only a part of the name is known.",
    "Large answers are shortened; ask for single fields to see everything.",
    "Times are in UTC.",
    "The change is recorded in the history together with the name of the user.",
)
_ORDERS = ("newest", "oldest", "name", "relevance", "priority")


def tool_names(nouns: Sequence[str]) -> Iterator[str]:
    """Unlimited distinct names such as ``list_issue``: all verbs of a noun, then the next noun."""
    for generation in count(1):
        suffix = "" if generation == 1 else f"_{generation}"
        for noun in nouns:
            for verb in VERBS:
                yield f"{verb}_{noun}{suffix}"


def prompt_names(nouns: Sequence[str]) -> Iterator[str]:
    """Unlimited distinct names such as ``issue_triage``."""
    for generation in count(1):
        suffix = "" if generation == 1 else f"_{generation}"
        for topic in TOPICS:
            for noun in nouns:
                yield f"{noun}_{topic}{suffix}"


def make_tools(amount: int, nouns: Sequence[str], seed: str) -> list[dict[str, Any]]:
    """The first ``amount`` tools of a server; a smaller amount is a prefix of a larger one."""
    return [_tool(name, f"{seed}/{name}") for name in islice(tool_names(nouns), amount)]


def make_prompts(amount: int, nouns: Sequence[str], seed: str) -> list[dict[str, Any]]:
    """The first ``amount`` prompts of a server; a smaller amount is a prefix of a larger one."""
    return [_prompt(name, f"{seed}/{name}") for name in islice(prompt_names(nouns), amount)]


def _tool(name: str, seed: str) -> dict[str, Any]:
    rng = random.Random(seed)  # noqa: S311 - deterministic filler, not a secret
    verb, title = name.partition("_")[0], name.replace("_", " ").capitalize()
    wanted = min(_MAX_BYTES, _MEDIAN_BYTES * rng.lognormvariate(0.0, _SPREAD))
    tool: dict[str, Any] = {
        "name": name,
        "title": title,
        "description": _description(title, rng),
        "inputSchema": {"type": "object", "properties": {}, "required": []},
        "annotations": {
            "title": title,
            "readOnlyHint": verb in _READ_ONLY,
            "destructiveHint": verb == "delete",
            "idempotentHint": verb != "create",
            "openWorldHint": _chance(rng, 0.5),
        },
    }
    if _chance(rng, 0.3):
        tool["outputSchema"] = {"type": "object", "properties": {}}
    _fill(tool, wanted, rng)
    return tool


def _fill(tool: dict[str, Any], wanted: float, rng: random.Random) -> None:
    """Adds properties to the schemas until the tool has about the wanted size as JSON."""
    schemas = [tool["inputSchema"]]
    if "outputSchema" in tool:
        schemas.append(tool["outputSchema"])
    size = len(msgspec.json.encode(tool))
    for number in count():
        name, schema = _property(number, rng)
        added = len(msgspec.json.encode({name: schema}))
        if number and size + added / 2 > wanted:
            return
        size += added
        target = schemas[number % len(schemas)]
        target["properties"][name] = schema
        if "required" in target and _chance(rng, 0.3):
            target["required"].append(name)


def _property(number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
    name, kind, description = _FIELDS[(number + rng.randrange(2)) % len(_FIELDS)]
    schema: dict[str, Any] = {"type": kind, "description": description}
    match kind:
        case "enum":
            schema |= {"type": "string", "enum": rng.sample(_ORDERS, 3)}
        case "integer":
            schema |= {"minimum": 1, "maximum": rng.choice((50, 100, 500)), "default": 20}
        case "array":
            schema["items"] = {"type": "string", "maxLength": 64}
        case "object":
            schema["additionalProperties"] = {"type": "string"}
    generation = number // len(_FIELDS)
    return (f"{name}_{generation + 1}" if generation else name), schema


def _chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _description(title: str, rng: random.Random) -> str:
    return " ".join((f"{title}.", *rng.sample(_SENTENCES, rng.randint(1, 4))))


def _prompt(name: str, seed: str) -> dict[str, Any]:
    rng = random.Random(seed)  # noqa: S311 - deterministic filler, not a secret
    title = name.replace("_", " ").capitalize()
    arguments = [
        {"name": field, "description": text, "required": _chance(rng, 0.5)}
        for field, _, text in rng.sample(_FIELDS, rng.randint(0, 3))
    ]
    return {
        "name": name,
        "title": title,
        "description": _description(title, rng),
        "arguments": arguments,
    }
