"""What to do about each outcome of a probe, in words for people. Pure."""

from __future__ import annotations

from exporter.probes.result import Outcome

_HINTS = {
    Outcome.AUTHORIZATION_REQUIRED: (
        "if the server should require a login, correct its auth type in the dashboard"
    ),
    Outcome.BLOCKED: (
        "allow the exporter's address in the firewall in front of it, or exclude it with deny"
    ),
    Outcome.THROTTLED: "probe it less often: raise --probe.min-interval",
    Outcome.NOT_FOUND: "check the path of its URL",
    Outcome.HTTP_ERROR: "check the server and the proxy or tunnel in front of it",
    Outcome.NOT_MCP: "check that its URL is that of the MCP endpoint, not of a web page",
    Outcome.PROTOCOL_ERROR: "check which version of MCP it implements, and its log",
    Outcome.REDIRECTED: "enter the final URL, or remove the login page in front of it",
    Outcome.DNS: "check its DNS record, and the name server of this host",
    Outcome.CONNECT: "check that it runs, and the firewalls between this host and it",
    Outcome.TLS: "renew or correct its certificate; ca_file adds an authority",
    Outcome.TIMEOUT: "check its load; a cold start may need a longer scrape timeout",
    Outcome.REFUSED_ADDRESS: (
        "add its network to --probe.allow-networks if it may be probed, or exclude it with deny"
    ),
    Outcome.TOO_LARGE: "check what it returns: more than any MCP server needs",
    Outcome.CREDENTIALS_REFUSED: (
        "renew the service token, and add it to a Service Auth policy of the portal's application"
    ),
}


def hint(outcome: Outcome) -> str:
    """What to do about a failed probe; empty where there is nothing to do."""
    return _HINTS.get(outcome, "")
