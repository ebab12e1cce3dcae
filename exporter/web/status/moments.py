"""Times of a report as a person reads them: how long ago, and since when at least. Pure."""

from __future__ import annotations

from datetime import datetime

from exporter.web.status import words
from exporter.web.status.report import PortalStatus, ServerStatus, Status


class Moments:
    """Words for the times of one report.

    Args:
        status: the report.
        now: up to when ages count, Unix time.
    """

    def __init__(self, status: Status, now: float) -> None:
        self._now = now
        self._began = {one.id: one.observed_since for one in status.accounts}

    def age(self, when: datetime) -> str:
        """Such as ``2 h 10 min``."""
        return words.duration(self._now - when.timestamp())

    def seen(self, item: ServerStatus | PortalStatus) -> str:
        """Since when this process has seen it so; empty where that is not known.

        What was so at the first listing may have been so for long.
        """
        if item.seen_since is None:
            return ""
        age = self.age(item.seen_since)
        if item.seen_since == self._began.get(item.account_id):
            return f"since the first listing, {age} ago"
        return f"for {age}"

    @staticmethod
    def machine(when: datetime) -> str:
        """For the attribute of an element."""
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")

    @staticmethod
    def utc(when: datetime) -> str:
        """Such as ``2026-03-11 15:00:58 UTC``."""
        return when.strftime("%Y-%m-%d %H:%M:%S UTC")
