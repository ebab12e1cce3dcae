"""What can be wrong with a server or a portal: in one word, in sentences, and with its runbook.

The states exclude each other, as in the alert rules: the one that must be acted on first hides the
others. Pure.
"""

from __future__ import annotations

import msgspec

LEVELS = ("bad", "warn", "info", "good")
"""How much it matters, the worst first; for ``bad`` and ``warn`` somebody should act."""


class State(msgspec.Struct, frozen=True):
    """A state.

    Attributes:
        key: its name in links and in JSON, stable.
        rank: its place, the worst first.
        level: one of `LEVELS`.
        words: what it is called.
        notice: what users of the portals notice; ``{stale_after}`` is the threshold.
        fix: what to do.
        runbook: name of the alert whose runbook helps; empty for none.
    """

    key: str
    rank: int
    level: str
    words: str
    notice: str = ""
    fix: str = ""
    runbook: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should act."""
        return self.level in {"bad", "warn"}


SERVER_STATES = {
    state.key: state
    for state in (
        State(
            "reauthorization", 10, "bad", "Needs reauthorization",
            "The server drops out of its portals: users lose its tools without a message.",
            "An administrator must authenticate the server again in Cloudflare.",
            "CloudflareMCPServerNeedsReauthorization",
        ),
        State(
            "unreachable", 20, "bad", "Unreachable",
            "Calls to its tools fail: Cloudflare cannot connect to the server.",
            "Check that the server runs and that its URL, DNS, certificate and firewall allow "
            "connections from Cloudflare.",
            "CloudflareMCPServerUnreachable",
        ),
        State(
            "error", 30, "bad", "In error",
            "Calls to its tools fail until the cause is fixed.",
            "Read the error text in Cloudflare and fix the server; a retry alone does not help.",
            "CloudflareMCPServerError",
        ),
        State(
            "retryable", 60, "warn", "Retryable failure",
            "Calls to its tools fail or are unreliable for now.",
            "Wait for the next sync (about every 2 hours) or start one in Cloudflare; check the "
            "server if the failure persists.",
            "CloudflareMCPServerRetryableFailure",
        ),
        State(
            "awaiting_authorization", 70, "warn", "Awaiting first authorization",
            "Its tools are not in any portal yet.",
            "Authenticate the server in Cloudflare; with manual OAuth its first user does so by "
            "logging in.",
            "CloudflareMCPServerAwaitingAuthorization",
        ),
        State(
            "stale", 80, "warn", "Sync is stale",
            "Its tools work, but changes on the server have not reached the portals for more than "
            "{stale_after}.",
            "Start a sync in Cloudflare and read its result; background syncs run about every "
            "2 hours.",
            "CloudflareMCPServerSyncStale",
        ),
        State(
            "unknown", 100, "info", "State not known",
            "Unknown: the API reports no state, or one that this version does not know.",
            "Look at the server in Cloudflare; update the exporter if the state is new.",
        ),
        State("working", 110, "good", "Working"),
    )
}  # fmt: skip
"""Every state of a server by key, the worst first."""

PORTAL_STATES = {
    state.key: state
    for state in (
        State(
            "no_working_server", 0, "bad", "No server works",
            "Users can use none of the portal's tools.",
            "Fix its servers, which are listed below.",
            "CloudflareMCPPortalNoHealthyServer",
        ),
        State(
            "lost_all_servers", 1, "bad", "Lost all servers",
            "Users find an empty portal: all its servers were removed from it.",
            "If this was not intended, add the servers to the portal again in Cloudflare.",
            "CloudflareMCPPortalLostServers",
        ),
        State(
            "no_tools_left", 2, "bad", "No tools left",
            "Users see no tools: some servers fail, and the portal hides the tools of the others.",
            "Fix its servers, listed below, or enable tools of the others in Cloudflare.",
            "CloudflareMCPPortalExposesNoTools",
        ),
        State("servers_failing", 3, "bad", "Some servers fail"),
        State(
            "no_tools", 50, "warn", "Shows no tools",
            "Users see no tools: the portal's own settings hide every tool of its servers.",
            "If this was not intended, enable tools in the portal's settings in Cloudflare.",
            "CloudflareMCPPortalExposesNoTools",
        ),
        State("servers_need_attention", 51, "warn", "Some servers need attention"),
        State("empty", 90, "info", "No servers"),
        State("unknown", 100, "info", "State not known"),
        State("working", 110, "good", "Working"),
    )
}  # fmt: skip
"""Every state of a portal by key, the worst first."""

UNAVAILABLE = frozenset(
    {"reauthorization", "unreachable", "error", "retryable", "awaiting_authorization"}
)
"""States of a server in which its users have none of its tools."""
