"""All pages of one listing, even if the API's totals are wrong.

No I/O: a function fetches the pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from exporter.cloudflare.decode import Page
from exporter.errors import ListingError, Reason

MAX_PAGES = 500
"""Maximum pages of a listing: 10,000 portals at the default page size."""

MAX_SERVERS = 1_000_000
"""Maximum server records of all pages, repeated ones included."""

FetchPages = Callable[[Sequence[int]], Awaitable[Iterable[Page]]]


async def list_all(fetch: FetchPages, per_page: int, parallel: int) -> tuple[Page, ...]:
    """Every page of the listing, listed a second time if items are missing.

    Args:
        fetch: returns the pages with these numbers (from 1), in order.
        per_page: page size that is requested.
        parallel: pages after the first that are requested in parallel.

    Raises:
        ListingError: what ``fetch`` raises; ``incomplete`` if there were fewer items than
            ``total_count`` twice; ``invalid_response`` if there is no last page, or too many items.
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
        f"{pages.missing} of {pages.total} items are missing, also after a retry",
    )


class _Pages:
    """The pages so far, and which to request next."""

    def __init__(self, first: Page, per_page: int) -> None:
        self.pages: list[Page] = []
        self._ids: set[str] = set()
        self._items = 0
        self._servers = 0
        self._ended = False
        size = len(first.ids)
        # A server that caps per_page sends less than requested although there is more.
        capped = 0 < size < per_page and (first.total_count or first.per_page == size)
        self._size = size if capped else per_page
        # A total that the first page exceeds is wrong: rely on short pages then.
        as_count = first.total_count is not None and first.total_count >= size
        self.total = first.total_count if as_count else None
        self.extend([first])

    def extend(self, pages: Iterable[Page]) -> None:
        for page in pages:
            named = [identity for identity in page.ids if identity is not None]
            fresh = sum(identity not in self._ids for identity in named)
            self._ids.update(named)
            # Items that a page repeats, or without an id, are counted as the API does.
            self._items += fresh + len(page.ids) - len(named)
            self.pages.append(page)
            self._servers += page.server_count
            # A server that ignores `page` repeats one; items without an id cannot show that.
            repeated = bool(named) and not fresh
            self._ended = self._ended or repeated or len(page.ids) < self._size
        if self._servers > MAX_SERVERS:
            raise ListingError(
                Reason.INVALID_RESPONSE, f"the listing has more than {MAX_SERVERS} servers"
            )
        if self.total is not None and self._items > self.total:
            self.total = None  # it was too low: from here on rely on short pages

    @property
    def missing(self) -> int:
        """Items counted in ``total_count`` that were on no page."""
        return 0 if self.total is None else max(0, self.total - self._items)

    def wanted(self, most: int) -> range:
        """The numbers of the pages to request next; empty at the end.

        Never all pages of ``total_count`` at once: a wrong one would use up the quota.
        """
        done = len(self.pages)
        if self._ended or (self.total is not None and not self.missing):
            return range(0)
        if done >= MAX_PAGES:
            raise ListingError(Reason.INVALID_RESPONSE, f"the listing has more than {done} pages")
        if self.total is None:
            return range(done + 1, done + 2)
        last = max(-(-self.total // self._size), done + 1)
        return range(done + 1, min(last, done + most, MAX_PAGES) + 1)
