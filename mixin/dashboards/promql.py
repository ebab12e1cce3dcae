"""PromQL for the dashboards: every query picks job and instance, and counts each object once.

Several exporters may list the same account. A gauge is therefore reduced to one series an object
(``max by`` its identifying labels) before anything is summed or counted.
"""

from __future__ import annotations

from exporter.metrics import catalog as c

TARGET = ('job=~"$job"', 'instance=~"$instance"')
VARIABLES = {"account_id": "account", "portal_id": "portal", "server_id": "server"}
"""The dashboard variable that filters each identifying label."""

ACCOUNT = "account_id"
PORTAL = "account_id, portal_id"
SERVER = "account_id, server_id"
ATTACHMENT = "account_id, portal_id, server_id"


def select(metric: c.Metric | str, *matchers: str) -> str:
    """The series of a metric that the dashboard's variables pick.

    A metric given as text belongs to a target, not to an account (``up``, ``process_*``).
    """
    if isinstance(metric, str):
        return f"{metric}{{{', '.join((*TARGET, *matchers))}}}"
    picked = [
        f'{label}=~"${variable}"' for label, variable in VARIABLES.items() if label in metric.labels
    ]
    return f"{metric.name}{{{', '.join((*TARGET, *picked, *matchers))}}}"


def key(metric: c.Metric, *labels: str) -> str:
    """The labels that identify the metric's object, and others."""
    return ", ".join([label for label in VARIABLES if label in metric.labels] + list(labels))


def one(metric: c.Metric, *matchers: str, by: tuple[str, ...] = (), at: str = "") -> str:
    """One series an object, however many exporters list it.

    Args:
        metric: a gauge.
        matchers: what to pick beyond the variables.
        by: labels to keep beyond the identifying ones.
        at: ``offset ...``, or a range such as ``[$__range]`` to take the last value from.
    """
    series = select(metric, *matchers)
    if at.startswith("["):
        series = f"last_over_time({series}{at})"
    elif at:
        series = f"{series} {at}"
    return f"max by ({key(metric, *by)}) ({series})"


def rate(metric: c.Metric, *by: str) -> str:
    """Events a second by labels, summed over every exporter: each one's requests are its own."""
    return f"sum by ({', '.join(by)}) (rate({select(metric)}[$__rate_interval]))"


def increase(metric: c.Metric, *by: str) -> str:
    """Events since the point before, by labels, summed over every exporter."""
    return f"sum by ({', '.join(by)}) (increase({select(metric)}[$__rate_interval]))"


def _info(metric: c.Metric, labels: tuple[str, ...], over: str = "") -> str:
    """One series of value 1 an object, with one of the names that exporters give it.

    Which one does not change within an answer: equal values keep their order from step to step.
    What is gone keeps the names that it had for the most of the range ``over``.
    """
    objects, named = key(metric), key(metric, *labels)
    now = f"topk by ({objects}) (1, max by ({named}) ({select(metric)}))"
    if not over:
        return now
    longest = f"topk by ({objects}) (1, count_over_time({select(metric)}{over}))"
    return f"({now} or on ({objects}) group by ({named}) ({longest}))"


def account_named(expr: str) -> str:
    """`expr` with the label ``account_name``."""
    names = _info(c.ACCOUNT_INFO, ("account_name",))
    return f"({expr}) * on (account_id) group_left (account_name) {names}"


def server_named(expr: str, *labels: str, over: str = "") -> str:
    """`expr`, a vector with account and server, with the label ``server_name`` and others.

    With a range such as ``[$__range]``, also of servers that were there within it and are gone.
    """
    wanted = ("server_name", *labels)
    names = _info(c.SERVER_INFO, wanted, over)
    return f"({expr}) * on ({SERVER}) group_left ({', '.join(wanted)}) {names}"


def portal_named(expr: str, *labels: str) -> str:
    """`expr`, a vector with account and portal, with the label ``portal_name`` and others."""
    wanted = ("portal_name", *labels)
    names = _info(c.PORTAL_INFO, wanted)
    return f"({expr}) * on ({PORTAL}) group_left ({', '.join(wanted)}) {names}"


def in_portals(expr: str) -> str:
    """`expr`, a vector by server, for the servers of the chosen portals.

    While all portals are chosen (``.*``) the second half adds the servers that are in none:
    their info has no ``portal_id``, which ``.*`` matches and the id of a portal does not.
    """
    attached = select(c.PORTAL_SERVER_INFO)
    anywhere = select(c.SERVER_INFO, 'portal_id=~"$portal"')
    return f"({expr}) and on ({SERVER}) ({attached} or {anywhere})"


def attached(expr: str) -> str:
    """`expr`, a vector by server, for servers in one of the chosen portals: those with users."""
    return f"({expr}) and on ({SERVER}) {select(c.PORTAL_SERVER_INFO)}"


def with_portals(expr: str, *labels: str) -> str:
    """`expr`, a vector by server, once for each of its portals, with ``portal_name``.

    Of its own labels those named are kept.
    """
    places = portal_named(one(c.PORTAL_SERVER_INFO))
    return f"{places} * on ({SERVER}) group_left ({', '.join(labels)}) ({expr})"


def count(expr: str) -> str:
    """How many series `expr` has: 0 while an account is listed, nothing while none is."""
    return f"count({expr}) or 0 * sum({one(c.PORTALS)})"


def last_seen(metric: c.Metric, name: str) -> str:
    """When objects that are gone were there last within the range, by their last name.

    Unix seconds. Only of accounts that are listed now: of others nothing is known.
    """
    objects = key(metric)
    seen = f"max_over_time(timestamp({select(metric)})[$__range:$__interval])"
    latest = f"topk by ({objects}) (1, max by ({key(metric, name)}) ({seen}))"
    gone = f"{latest} unless on ({objects}) {select(metric)}"
    return f"({gone}) and on (account_id) {select(c.UP)} == 1"


def longest(expr: str, among: str, by: str, most: int) -> str:
    """`expr` for at most so many objects: those with a series in `among` for the longest time.

    The choice is made once for the whole range: all steps have the same series.
    """
    time = f"count_over_time(({among})[$__range:$__interval] @ end())"
    return f"({expr}) and on ({by}) topk({most}, {time})"
