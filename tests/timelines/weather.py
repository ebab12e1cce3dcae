"""How the truth is watched: what is scraped when, and what comes in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from timelines.truth import Truth

Span = tuple[int, int]
"""Minutes, the last one included."""

Kind = Literal["metrics", "probe", "own", "textfile"]


def within(spans: tuple[Span, ...], minute: int) -> bool:
    """Whether a minute is in one of them."""
    return any(first <= minute <= last for first, last in spans)


@dataclass(frozen=True)
class Target:
    """A target of Prometheus, from its discovery to its disappearance.

    Attributes:
        instance: its label.
        kind: ``metrics`` is an exporter with all of its accounts, ``probe`` one account of one,
            ``own`` what an exporter tells of itself, ``textfile`` a file of a node_exporter.
        accounts: that it lists, or that it is configured with, while they are configured.
        interval: between two scrapes.
        first: minute of discovery, and of the first scrape.
        last: the last minute in discovery; None for the end of the timeline.
        down: when it does not answer.
        missed: single scrapes that fail.
        started: when its process began.
    """

    instance: str
    kind: Kind
    accounts: tuple[str, ...]
    interval: int = 1
    first: int = 0
    last: int | None = None
    down: tuple[Span, ...] = ()
    missed: tuple[int, ...] = ()
    started: int = 0

    def scraped(self, minute: int) -> bool | None:
        """Whether a scrape at this minute works; None where there is none."""
        if minute < self.first or (self.last is not None and minute > self.last):
            return None
        if (minute - self.first) % self.interval:
            return None
        return not within(self.down, minute) and minute not in self.missed


@dataclass(frozen=True)
class Outage:
    """An account cannot be listed, for one reason after the other."""

    account: str
    first: int
    last: int
    reasons: tuple[str, ...]

    def reason(self, minute: int) -> str | None:
        """Why a listing at this minute fails, if it does."""
        if not self.first <= minute <= self.last:
            return None
        return self.reasons[minute % len(self.reasons)]


@dataclass(frozen=True)
class Weather:
    """All of it.

    Attributes:
        targets: of Prometheus.
        outages: of listings.
        every: minutes between two runs that write the textfile.
        stopped: when the textfile is not written.
    """

    targets: tuple[Target, ...]
    outages: tuple[Outage, ...] = ()
    every: int = 5
    stopped: tuple[Span, ...] = ()

    def reason(self, account: str, minute: int) -> str | None:
        """Why the account cannot be listed at this minute; None where it can."""
        found = (one.reason(minute) for one in self.outages if one.account == account)
        return next((reason for reason in found if reason), None)

    def reasons(self, account: str) -> set[str]:
        """All reasons why the account cannot be listed at one time or another.

        A real exporter tells of the others, too: that they are 0 costs time and shows nothing.
        """
        outages = (one for one in self.outages if one.account == account)
        return {reason for outage in outages for reason in outage.reasons}

    def written(self, minute: int) -> int | None:
        """When the textfile was written that is there at this minute."""
        last = minute - minute % self.every
        while last >= 0 and within(self.stopped, last):
            last -= self.every
        return last if last >= 0 else None


@dataclass(frozen=True)
class Timeline:
    """A truth and its weather, for some minutes.

    Attributes:
        labels: that every series carries beyond those of the exporter and of the scrape.
    """

    minutes: int
    truth: Truth
    weather: Weather
    labels: tuple[tuple[str, str], ...] = field(default=())
