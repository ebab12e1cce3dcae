"""The names of recorded series, and the few shapes of PromQL that the rules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixin.thresholds import seconds

if TYPE_CHECKING:
    from mixin.thresholds import Thresholds

UP = "account_id:cloudflare_mcp_up:max"
FAILED = "account_id_reason:cloudflare_mcp_collection_failed:max"
CONFIGURED = (
    "account_id_instance_job:cloudflare_mcp_exporter_account_configured_timestamp_seconds:max"
)

SERVER_INFO = "account_id_server_id:cloudflare_mcp_server_info:max"
SERVER_REAUTHORIZATION = "account_id_server_id:cloudflare_mcp_server_needs_reauthorization:max"
SERVER_FAILING = "account_id_server_id:cloudflare_mcp_server_failing:max"
SERVER_WORKED = "account_id_server_id:cloudflare_mcp_server_working:timestamp"
SERVER_LASTING = "account_id_server_id:cloudflare_mcp_server_lasting_failure:timestamp"
SERVER_BROKEN = "account_id_server_id:cloudflare_mcp_server_broken:max"
SERVER_LONG = "account_id_server_id:cloudflare_mcp_server_failing_long:max"

PORTAL_INFO = "account_id_portal_id:cloudflare_mcp_portal_info:max"
PORTAL_SERVERS = "account_id_portal_id:cloudflare_mcp_portal_servers:sum"
PORTAL_SERVER_INFO = "account_id_portal_id_server_id:cloudflare_mcp_portal_server_info:max"


class Scope:
    """Which series the rules read, and by which labels they tell objects apart.

    Attributes:
        kept: labels that everything keeps, as ``by`` and ``on`` take them; may be empty.
        account, portal, server, attachment: the labels that identify one, the kept ones included.
        instance: those of a target.
        window: for how long what a scrape told is believed.
        window_seconds: the same as a number.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._selector = thresholds.selector
        self.labels = tuple(thresholds.keep_labels)
        self.kept = ", ".join(self.labels)
        self.account = self.by("account_id")
        self.portal = self.by("account_id", "portal_id")
        self.server = self.by("account_id", "server_id")
        self.attachment = self.by("account_id", "portal_id", "server_id")
        self.instance = self.by("job", "instance")
        self.window = thresholds.gap_window
        self.window_seconds = f"{seconds(thresholds.gap_window):.15g}"

    def by(self, *labels: str) -> str:
        """These labels and the kept ones."""
        return ", ".join((*self.labels, *labels))

    def select(self, metric: str, *matchers: str) -> str:
        """The series of a metric."""
        return f"{metric}{{{', '.join((self._selector, *matchers))}}}"

    def last(self, metric: str, *matchers: str, window: str = "") -> str:
        """What each exporter told last: a scrape that is missed changes nothing."""
        return f"last_over_time({self.select(metric, *matchers)}[{window or self.window}])"

    def most(self, metric: str, *matchers: str, window: str = "") -> str:
        """The largest value that each exporter told."""
        return f"max_over_time({self.select(metric, *matchers)}[{window or self.window}])"

    def of_listed_account(self, expr: str) -> str:
        """`expr` of the accounts that an exporter listed within the window."""
        return both(expr, self.account, f"{UP} == 1")

    def of_server(self, expr: str) -> str:
        """`expr`, a vector by server, without the servers that are in no portal.

        The exporter may list detached servers, too. What breaks in one of these hurts nobody.
        """
        return both(expr, self.server, PORTAL_SERVER_INFO)

    def sum_by_portal(self, server: str) -> str:
        """The sum of a vector by server over the servers of each portal."""
        return f"sum by ({self.portal}) (\n{indented(self.in_portals(server))}\n)"

    def in_portals(self, server: str) -> str:
        """A vector by server, once for each of its portals."""
        return f"{PORTAL_SERVER_INFO}\n* on ({self.server}) group_left ()\n{indented(server)}"


def indented(text: str) -> str:
    """The text two columns to the right."""
    return "\n".join(f"  {line}" for line in text.splitlines())


def aggregated(operator: str, by: str, expr: str) -> str:
    """An aggregation of one expression or of several that are joined by ``or``."""
    return f"{operator} by ({by}) (\n{indented(expr)}\n)"


def either(*exprs: str) -> str:
    """All samples of several expressions."""
    return "\nor\n".join(exprs)


def both(expr: str, by: str, other: str) -> str:
    """`expr` of the objects for which `other` has a sample, too."""
    return f"{expr}\nand on ({by})\n{indented(other)}"


def unless(expr: str, by: str, *others: str) -> str:
    """`expr` without the objects for which any of `others` has a sample."""
    return "\n".join([expr, *(f"unless on ({by})\n{indented(other)}" for other in others)])
