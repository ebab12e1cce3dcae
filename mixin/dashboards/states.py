"""What a state is called, which number stands for it, and its color: the same on every panel.

State timelines and value mappings need numbers. Each kind of state has a range of its own, so
that one list of mappings serves every panel and no number means two things.
"""

from __future__ import annotations

import msgspec
from grafana_foundation_sdk.models import dashboard

GOOD = "green"
LAPSED = "purple"
BAD = "red"
UNREACHABLE = "dark-red"
TRANSIENT = "yellow"
WAITING = "blue"
STALE = "orange"
NEUTRAL = "text"
UNKNOWN = "#808080"


class State(msgspec.Struct, frozen=True):
    """One state.

    Attributes:
        code: the number that a query gives.
        label: its value in a state set.
        alert: the alert about it, without the common prefix.
    """

    code: int
    text: str
    color: str
    label: str = ""
    alert: str = ""


WORKING = State(0, "Working", GOOD)
SYNC_STALE = State(1, "Sync is stale", STALE, alert="ServerSyncStale")
AWAITS_LOGIN = State(2, "Waits for its first login", WAITING, alert="ServerAwaitingAuthorization")
IN_ERROR = State(3, "In error", BAD, alert="ServerError")
RETRYABLE_FAILURE = State(
    4, "Retryable upstream failure", TRANSIENT, alert="ServerRetryableFailure"
)
CANNOT_BE_REACHED = State(5, "Unreachable", UNREACHABLE, alert="ServerUnreachable")
NEEDS_REAUTHORIZATION = State(
    6, "Needs re-authorization", LAPSED, alert="ServerNeedsReauthorization"
)

HEALTH = (
    WORKING, SYNC_STALE, AWAITS_LOGIN, IN_ERROR, RETRYABLE_FAILURE, CANNOT_BE_REACHED,
    NEEDS_REAUTHORIZATION,
)  # fmt: skip
"""What is wrong with a server, as the alerts see it; the greater number hides the smaller."""

FAILURES = (IN_ERROR, RETRYABLE_FAILURE, CANNOT_BE_REACHED, NEEDS_REAUTHORIZATION)

SHOWS_NO_TOOLS = State(50, "Shows no tools", STALE, alert="PortalExposesNoTools")
HAS_NO_SERVERS = State(51, "Has no servers", STALE, alert="PortalLostServers")
NO_SERVER_WORKS = State(52, "No server works", BAD, alert="PortalNoHealthyServer")

PORTAL_TROUBLE = (SHOWS_NO_TOOLS, HAS_NO_SERVERS, NO_SERVER_WORKS)
"""What is wrong with a portal; the greater number hides the smaller."""

STATUS = (
    State(10, "ready", GOOD, "ready"),
    State(11, "waiting", WAITING, "waiting"),
    State(12, "stale (needs re-authorization)", LAPSED, "stale"),
    State(13, "error", BAD, "error"),
    State(14, "other (newer than this exporter)", UNKNOWN, "other"),
)

AUTHENTICATION = (
    State(20, "not required", GOOD, "not_required"),
    State(21, "required", WAITING, "required"),
    State(22, "connected", GOOD, "connected"),
    State(23, "stale (needs re-authorization)", LAPSED, "stale"),
    State(24, "manual", NEUTRAL, "manual"),
    State(25, "other (newer than this exporter)", UNKNOWN, "other"),
)

NO_ERROR = State(30, "no error", GOOD)
ERROR_UNCLASSIFIED = State(31, "not classified", BAD)
ERROR_UPSTREAM = State(32, "upstream, not retryable", BAD)
ERROR_UNREACHABLE = State(33, "not reached", UNREACHABLE)
ERROR_RETRYABLE = State(34, "upstream, retryable", TRANSIENT)

ERROR_CLASSES = (
    NO_ERROR, ERROR_UNCLASSIFIED, ERROR_UPSTREAM, ERROR_UNREACHABLE, ERROR_RETRYABLE,
)  # fmt: skip
"""The class of a server's error; the greater number hides the smaller."""

CODE_MODE = (
    State(40, "off", NEUTRAL, "off"),
    State(41, "opt-in", NEUTRAL, "opt_in"),
    State(42, "on by default", NEUTRAL, "default_on"),
    State(43, "enforced", STALE, "enforced"),
    State(44, "other (newer than this exporter)", UNKNOWN, "other"),
)

SERVER_STATES = (*HEALTH, *STATUS, *AUTHENTICATION, *ERROR_CLASSES)


def mappings(*states: State) -> tuple[dashboard.ValueMapping, ...]:
    """The value mappings that show each code as its text, in its color."""
    shown = {
        str(state.code): dashboard.ValueMappingResult(
            text=state.text, color=state.color, index=index
        )
        for index, state in enumerate(states)
    }
    return (dashboard.ValueMap(options=shown),)


def flag(
    yes: str, no: str, *, yes_color: str = NEUTRAL, no_color: str = NEUTRAL
) -> tuple[dashboard.ValueMapping, ...]:
    """The value mappings of a metric that is 1 or 0."""
    return mappings(State(1, yes, yes_color), State(0, no, no_color))


def fixed_color(color: str) -> dashboard.DynamicConfigValue:
    """The property that draws a series in this color, whatever its value."""
    return dashboard.DynamicConfigValue(
        id_val="color", value={"mode": "fixed", "fixedColor": color}
    )


def dashed(color: str) -> list[dashboard.DynamicConfigValue]:
    """The properties of a line that is a limit and not a measurement."""
    return [
        fixed_color(color),
        dashboard.DynamicConfigValue(
            id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}
        ),
        dashboard.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]
