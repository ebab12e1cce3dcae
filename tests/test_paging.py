"""Which pages of a listing are asked for, whatever the API says of them; without the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cloudflare.decode import Page
from exporter.cloudflare.paging import list_all
from exporter.errors import ListingError, Reason

Answer = Callable[[int], Page]


class Api:
    """Answers with pages, and remembers which were asked for together."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[list[int]] = []

    async def fetch(self, numbers: Sequence[int]) -> list[Page]:
        self.asked.append(list(numbers))
        return [self._answer(number) for number in numbers]

    def list(self, per_page: int = 10, parallel: int = 4) -> tuple[Page, ...]:
        return asyncio.run(list_all(self.fetch, per_page, parallel))

    def fails(self) -> ListingError:
        with pytest.raises(ListingError) as caught:
            self.list()
        return caught.value


def paged(
    count: int, size: int = 10, total: int | None = None, per_page: int | None = None
) -> Answer:
    """A listing of so many items, ``size`` on a page."""

    def answer(number: int) -> Page:
        items = range((number - 1) * size, min(number * size, count))
        return Page(ids=tuple(f"i{item}" for item in items), total_count=total, per_page=per_page)

    return answer


def ids(pages: Sequence[Page]) -> list[str | None]:
    return [identity for page in pages for identity in page.ids]


@given(
    count=st.integers(0, 120),
    asked=st.integers(1, 30),
    cap=st.integers(1, 30),
    parallel=st.integers(1, 5),
    told=st.booleans(),
)
def test_each_item_is_listed_once_and_no_page_is_asked_for_twice(
    count: int, asked: int, cap: int, parallel: int, told: bool
) -> None:
    size = min(asked, cap)
    total = count if told else None
    api = Api(paged(count, size, total, per_page=size))
    assert ids(api.list(asked, parallel)) == [f"i{item}" for item in range(count)]
    numbers = [number for together in api.asked for number in together]
    assert numbers == list(range(1, len(numbers) + 1))
    assert max(map(len, api.asked)) <= parallel
    if told:
        assert len(numbers) == max(1, -(-count // size)), "no page too many"


def test_pages_after_the_first_are_asked_for_together() -> None:
    api = Api(paged(65, total=65))
    api.list()
    assert api.asked == [[1], [2, 3, 4, 5], [6, 7]]


def test_missing_items_are_looked_for_once_more_and_then_counted() -> None:
    api = Api(paged(12, total=15))
    problem = api.fails()
    assert api.asked == [[1], [2], [1], [2]]
    assert problem.reason is Reason.INCOMPLETE
    assert str(problem) == "3 of 15 items are missing, also after a retry"


def test_a_full_page_that_repeats_an_earlier_one_ends_the_listing() -> None:
    api = Api(lambda _: paged(10)(1))
    assert len(api.list()) == 2
    assert api.asked == [[1], [2]]


def test_items_without_an_id_count_and_do_not_end_the_listing() -> None:
    def answer(number: int) -> Page:
        return Page(ids=(None,) * (10 if number < 4 else 5), total_count=35)

    api = Api(answer)
    assert len(ids(api.list())) == 35
    assert api.asked == [[1], [2, 3, 4]]


def test_a_listing_without_an_end_is_given_up_after_500_pages() -> None:
    api = Api(lambda number: Page(ids=tuple(f"{number}-{item}" for item in range(10))))
    problem = api.fails()
    assert problem.reason is Reason.INVALID_RESPONSE
    assert str(problem) == "the listing has more than 500 pages"
    assert api.asked[-1] == [500]


def test_500_pages_are_listed() -> None:
    api = Api(paged(5000, total=5000))
    assert len(api.list()) == 500
    assert api.asked[-1] == [498, 499, 500]


class Counted(Page, frozen=True, gc=False):
    """A page that stands for many servers."""

    many: int = 0

    @property
    def server_count(self) -> int:
        return self.many


@pytest.mark.parametrize(("many", "listed"), [(500_000, True), (500_001, False)])
def test_a_million_servers_are_taken_and_no_more(many: int, listed: bool) -> None:
    pages = {
        number: Counted(ids=paged(20, total=20)(number).ids, total_count=20, many=servers)
        for number, servers in ((1, 500_000), (2, many))
    }
    api = Api(lambda number: pages[number])
    if listed:
        assert len(api.list()) == 2
    else:
        problem = api.fails()
        assert problem.reason is Reason.INVALID_RESPONSE
        assert str(problem) == "the listing has more than 1000000 servers"


def test_a_short_first_page_without_a_total_is_all_there_is() -> None:
    api = Api(paged(7))
    assert len(ids(api.list())) == 7
    assert api.asked == [[1]]


def test_a_total_that_is_too_low_leaves_the_end_to_the_short_page() -> None:
    api = Api(paged(45, total=25))
    assert len(ids(api.list())) == 45


def test_an_empty_first_page_of_a_listing_that_has_items_is_incomplete() -> None:
    api = Api(lambda _: Page(ids=(), total_count=5))
    assert api.fails().reason is Reason.INCOMPLETE
    assert api.asked == [[1], [1]]


def test_pages_that_overlap_take_more_pages_than_the_total_says() -> None:
    def answer(number: int) -> Page:
        first = (number - 1) * 8
        items = range(first, min(first + 10, 50))
        return Page(ids=tuple(f"i{item}" for item in items), total_count=50)

    api = Api(answer)
    assert len({*ids(api.list())}) == 50
    assert api.asked == [[1], [2, 3, 4, 5], [6]]


def test_no_page_after_the_500th_is_asked_for_whatever_the_total_says() -> None:
    api = Api(paged(6000, total=6000))
    assert str(api.fails()) == "the listing has more than 500 pages"
    assert api.asked[-1][-1] == 500
