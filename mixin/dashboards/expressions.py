"""Every PromQL expression of a dashboard, with where it stands and how Grafana sends it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["instant", "range", "label_values", "query_result"]

LABEL_VALUES = re.compile(r"label_values\((?:(?P<expr>.+), )?(?P<label>\w+)\)")
QUERY_RESULT = re.compile(r"query_result\((?P<expr>.+)\)")
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


class Expression(msgspec.Struct, frozen=True):
    """One query.

    Attributes:
        where: dashboard, panel or variable, and query, as a person would name it.
        text: the expression, its variables not yet filled in.
        kind: ``label_values`` selects series; the others are evaluated.
    """

    where: str
    text: str
    kind: Kind


def expressions(dashboard: Mapping[str, Any]) -> Iterator[Expression]:
    """Those of the variables, of the annotations and of the panels, in this order."""
    title = dashboard["title"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield _of_variable(f"{title}: variable {variable['name']}", variable["query"]["query"])
    for annotation in dashboard["annotations"]["list"]:
        yield Expression(f"{title}: annotation {annotation['name']}", annotation["expr"], "range")
    for panel in panels(dashboard):
        for target in panel["targets"]:
            where = f"{title}: {panel['title']}: {target['refId']}"
            yield Expression(where, target["expr"], "instant" if target["instant"] else "range")


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel that shows something: all but the headings of rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def open_panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that are not in a collapsed row: what a visitor sees, and refreshes, at first."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def _of_variable(where: str, query: str) -> Expression:
    if found := LABEL_VALUES.fullmatch(query):
        return Expression(where, found["expr"], "label_values")
    if found := QUERY_RESULT.fullmatch(query):
        return Expression(where, found["expr"], "query_result")
    raise ValueError(f"{where}: {query!r} is neither label_values(...) nor query_result(...)")


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with each ``$name`` and ``${name}`` replaced; KeyError where one has no value."""
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
