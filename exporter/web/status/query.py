"""What a person or a script asks for, and the links that ask for something else. Pure."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from exporter.web.status.states import SERVER_STATES

LONGEST = 400
"""Characters of a value that count; the API's names have 350 at most."""

ATTENTION = "attention"
"""All states that somebody should act on."""

SERVERS = "servers"
"""The view that lists all servers, in place of what is broken."""

_PAGE_DIGITS = 6


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters, each by its name in the URL.

    Attributes:
        view: `SERVERS` for all servers; empty for the overview.
        q: a text that a name, an id or a hostname contains, in any case.
        state: key of a server's state, or `ATTENTION`; empty for all.
        portal: id of the portal that a server is in.
        account: name of the account.
        sort: key of a column of the servers' table, after a ``-`` for descending order.
        page: of the servers' table, from 1; empty for the first.
        refresh: ``0`` where the page must not refresh by itself.
    """

    view: str = ""
    q: str = ""
    state: str = ""
    portal: str = ""
    account: str = ""
    sort: str = ""
    page: str = ""
    refresh: str = ""

    @property
    def lists_servers(self) -> bool:
        """Whether a table of servers is shown, with a form to filter it."""
        return bool(self.view or self.filters or self.sort or self.page)

    @property
    def refreshes(self) -> bool:
        """Whether the page shall load itself again: never where there is a form to fill in."""
        return self.refresh != "0" and not self.lists_servers

    @property
    def filters(self) -> bool:
        """Whether something is left out on request."""
        return bool(self.q or self.state or self.portal or self.account)

    @property
    def page_number(self) -> int:
        """From 1."""
        return int(self.page or 1)

    def link(self, **changes: str) -> str:
        """The page with these parameters changed, as a relative reference.

        Whatever changes what is listed leads to its first page.
        """
        changed = msgspec.structs.replace(self, **{"page": "", **changes})
        return "?" + urlencode(msgspec.to_builtins(changed))

    def without_filters(self) -> str:
        """All servers, in the same order."""
        return self.link(q="", state="", portal="", account="", view=SERVERS)


def read_query(value_of: Callable[[str], str]) -> Query:
    """The query, given the value of each parameter; what makes no sense counts as not said."""
    said = {name: value_of(name).strip()[:LONGEST] for name in Query.__struct_fields__}
    if said["state"] not in {*SERVER_STATES, ATTENTION}:
        said["state"] = ""
    for name, value in (("refresh", "0"), ("view", SERVERS)):
        if said[name] != value:
            said[name] = ""
    page = said["page"]
    if not (page.isascii() and page.isdigit() and len(page) <= _PAGE_DIGITS and int(page) > 1):
        said["page"] = ""
    return Query(**said)
