"""All pages of one listing, whatever the API says about where it ends.

Does no I/O: it asks a function for pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from exporter.cloudflare.decode import Page
from exporter.errors import ListingError, Reason

MOST_PAGES = 500
"""A listing that has not ended by then never will: 10,000 portals at the default page size."""

MOST_SERVERS = 1_000_000
"""Servers of all pages, each as often as it is listed: that many portals with 80 each, and more."""

FetchPages = Callable[[Sequence[int]], Awaitable[Iterable[Page]]]


async def list_all(fetch: FetchPages, per_page: int, parallel: int) -> tuple[Page, ...]:
    """Every page of the listing, tried once more where items are missing.

    Args:
        fetch: gives the pages of these numbers (the first page is 1), in their order.
        per_page: how many items are asked for.
        parallel: how many pages after the first are asked for together.

    Raises:
        ListingError: what ``fetch`` raises; ``incomplete`` where fewer items came than
            ``total_count`` says, twice; ``invalid_response`` where there is no end, or too much.
    """
    for _attempt in range(2):
        [first] = await fetch([1])
        pages = _Pages(first, per_page)
        while wanted := pages.wanted(parallel):
            pages.extend(await fetch(wanted))
        if not pages.missing:
            return tuple(pages.pages)
    raise ListingError(
        Reason.INCOMPLETE,
        f"{pages.missing} of {pages.total} items are missing, and were again when asked once more",
    )


class _Pages:
    """The pages so far, and which to ask for next."""

    def __init__(self, first: Page, per_page: int) -> None:
        self.pages: list[Page] = []
        self._ids: set[str] = set()
        self._items = 0
        self._servers = 0
        self._ended = False
        size = len(first.ids)
        # A server that caps per_page sends less than was asked for while more is to come.
        capped = 0 < size < per_page and (first.total_count or first.per_page == size)
        self._size = size if capped else per_page
        # A total that the first page exceeds is none: go by short pages then.
        counted = first.total_count is not None and first.total_count >= size
        self.total = first.total_count if counted else None
        self.extend([first])

    def extend(self, pages: Iterable[Page]) -> None:
        for page in pages:
            named = [identity for identity in page.ids if identity is not None]
            fresh = sum(identity not in self._ids for identity in named)
            self._ids.update(named)
            # What a page itself repeats, or does not name, is counted as the API does.
            self._items += fresh + len(page.ids) - len(named)
            self.pages.append(page)
            self._servers += page.server_count
            # A server that ignores `page` repeats one; items without an id do not tell.
            repeated = bool(named) and not fresh
            self._ended = self._ended or repeated or len(page.ids) < self._size
        if self._servers > MOST_SERVERS:
            raise ListingError(
                Reason.INVALID_RESPONSE, f"the listing has more than {MOST_SERVERS} servers"
            )
        if self.total is not None and self._items > self.total:
            self.total = None  # it was too low: from here on go by short pages

    @property
    def missing(self) -> int:
        """Items that ``total_count`` promised and no page had."""
        return 0 if self.total is None else max(0, self.total - self._items)

    def wanted(self, most: int) -> range:
        """The numbers of the pages to ask for next; empty at the end.

        Never all that ``total_count`` promises at once: a wrong one would cost the quota.
        """
        done = len(self.pages)
        if self._ended or (self.total is not None and not self.missing):
            return range(0)
        if done >= MOST_PAGES:
            raise ListingError(
                Reason.INVALID_RESPONSE, f"the listing has no end: {done} pages and still more"
            )
        if self.total is None:
            return range(done + 1, done + 2)
        last = max(-(-self.total // self._size), done + 1)
        return range(done + 1, min(last, done + most, MOST_PAGES) + 1)
