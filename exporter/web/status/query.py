"""What a person asks the page for, and the links that ask for something else. Pure."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from exporter.web.status.health import HEALTHS

LONGEST = 400
"""Characters of a value that count; the API's names have 350 at most."""

_STATES = frozenset(health.key for health in HEALTHS)
ATTENTION = "attention"
"""All states that somebody should look at."""


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of the page; each by its name in the URL.

    Attributes:
        q: a text that a name, an id or a hostname contains, in any case.
        state: key of a `Health`, or `ATTENTION`; empty for all.
        portal: id of the portal that a server is in.
        account: name of the account.
        sort: key of a column of the servers' table, after a ``-`` for descending order.
        psort: the same for the portals' table.
        refresh: ``0`` where the page must not refresh by itself.
    """

    q: str = ""
    state: str = ""
    portal: str = ""
    account: str = ""
    sort: str = ""
    psort: str = ""
    refresh: str = ""

    @property
    def refreshes(self) -> bool:
        """Whether the page shall load itself again."""
        return self.refresh != "0"

    @property
    def filters(self) -> bool:
        """Whether something is left out on request."""
        return bool(self.q or self.state or self.portal or self.account)

    def link(self, **changes: str) -> str:
        """The page with these parameters changed, as a relative reference."""
        changed = msgspec.structs.replace(self, **changes)
        return "?" + urlencode(msgspec.to_builtins(changed))

    def without_filters(self) -> str:
        """The whole page, in the same order."""
        return self.link(q="", state="", portal="", account="")


def read_query(value_of: Callable[[str], str]) -> Query:
    """The query, given the value of each parameter; what makes no sense counts as not said."""
    said = {name: value_of(name).strip()[:LONGEST] for name in Query.__struct_fields__}
    if said["state"] not in _STATES | {ATTENTION}:
        said["state"] = ""
    if said["refresh"] != "0":
        said["refresh"] = ""
    return Query(**said)
