"""Parses PromQL expressions: selectors and their context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import promql_parser as p


@dataclass(frozen=True)
class Place:
    """The context of a selector.

    Attributes:
        function: the function that takes it as an argument.
        aggregation: the innermost aggregation around it.
        filters: whether it only filters the series of another expression.
    """

    function: str = ""
    aggregation: str = ""
    filters: bool = False


@dataclass(frozen=True)
class Selector:
    """A vector selector: metric, matchers as label and operator, and context."""

    metric: str
    matchers: frozenset[str]
    place: Place


def selectors(text: str) -> Iterator[Selector]:
    """Every selector of an expression; ValueError if it does not parse."""
    yield from _walk(p.parse(text), Place())


def groupings(text: str) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """The labels of every ``by`` and ``on``, each with the metrics it applies to."""
    yield from _groupings(p.parse(text))


def _walk(node: p.Expr, place: Place) -> Iterator[Selector]:
    match node:
        case p.MatrixSelector():
            yield from _walk(node.vector_selector, place)
        case p.VectorSelector():
            assert node.name is not None
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            yield Selector(node.name, labels, place)
        case p.Call():
            for argument in node.args:
                yield from _walk(argument, replace(place, function=node.func.name))
        case p.AggregateExpr():
            yield from _walk(node.expr, replace(place, function="", aggregation=str(node.op)))
        case p.BinaryExpr():
            yield from _walk(node.lhs, place)
            filters = str(node.op) in {"and", "unless"}
            yield from _walk(node.rhs, replace(place, filters=filters) if filters else place)
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            yield from _walk(node.expr, place)


def _metrics(node: p.Expr) -> frozenset[str]:
    return frozenset(selector.metric for selector in _walk(node, Place()))


def _groupings(node: p.Expr) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    match node:
        case p.Call():
            for argument in node.args:
                yield from _groupings(argument)
        case p.AggregateExpr():
            if node.modifier is not None:
                yield frozenset(node.modifier.labels), _metrics(node.expr)
            yield from _groupings(node.expr)
        case p.BinaryExpr():
            modifier = node.modifier
            if modifier is not None and modifier.matching is not None:
                labels = frozenset(modifier.matching.labels)
                yield labels, _metrics(node.lhs)
                yield labels, _metrics(node.rhs)
            yield from _groupings(node.lhs)
            yield from _groupings(node.rhs)
        case p.ParenExpr() | p.UnaryExpr() | p.SubqueryExpr():
            yield from _groupings(node.expr)
