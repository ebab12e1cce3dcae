"""From which size on JSON is taken apart with care: to the byte."""

from __future__ import annotations

import msgspec
import pytest

from exporter.cloudflare.json_size import Allowance

MIB = 1 << 20
LIMIT = 8 * MIB


def never() -> None:
    """Goes on."""


@pytest.mark.parametrize(
    ("limit", "objects", "text"),
    [(LIMIT, LIMIT // 64, LIMIT // 16), (1, 4 * MIB // 64, 4 * MIB // 16)],
    ids=["8 MiB", "one byte, which counts as 4 MiB"],
)
def test_objects_and_text_are_a_share_of_the_limit(limit: int, objects: int, text: int) -> None:
    allowance = Allowance(limit)
    assert (allowance.objects, allowance.text) == (objects, text)


def test_a_body_is_too_dense_with_one_object_more_than_allowed() -> None:
    allowance = Allowance(LIMIT)
    half = b"{" * (allowance.objects // 2)
    body = half + b" " * (2 * MIB) + half  # in several pieces
    assert not allowance.too_dense(body, never)
    assert allowance.too_dense(body + b"{", never)


def test_objects_are_not_counted_in_an_eighth_of_the_limit() -> None:
    allowance = Allowance(LIMIT)
    checks: list[None] = []
    assert not allowance.too_dense(b"{" * MIB, lambda: checks.append(None))
    assert checks == []
    assert allowance.too_dense(b"{" * (MIB + 1), lambda: checks.append(None))
    assert not allowance.too_dense(b" " * (3 * MIB), lambda: checks.append(None))
    assert len(checks) == 1 + 3, "one a piece, and none after the answer is known"


def test_a_large_body_is_too_wide_unless_it_is_plain_ascii() -> None:
    allowance = Allowance(LIMIT)
    third = LIMIT // 3
    for wide in ("é".encode(), b"\\u00e9"):
        assert not allowance.too_wide(wide + b"x" * (third - len(wide)))
        assert allowance.too_wide(wide + b"x" * (third - len(wide) + 1))
    assert not allowance.too_wide(b"x" * LIMIT)


def test_a_part_is_large_from_a_third_of_the_limit_on() -> None:
    allowance = Allowance(LIMIT)
    third = LIMIT // 3
    assert not allowance.large(msgspec.Raw(b"x" * third))
    assert allowance.large(msgspec.Raw(b"x" * (third + 1)))
