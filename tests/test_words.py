"""Words that must not come back: odd, invented or British where the product is American."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import ROOT
from usertexts import strings

CODE = ("exporter/**/*.py", "mixin/**/*.py")
"""Whose strings are read; docstrings and comments are not."""

PAGES = (
    "*.md",
    "Makefile",
    "alerts/*.md",
    "alerts/*.yml",
    "deploy/**/*.md",
    "deploy/**/*.y*ml",
    "deploy/**/*.txt",
    "docs/**/*.md",
    "exporter/settings/config.schema.json",
    "exporter/web/status/templates/*",
)
"""Read line by line. Add a glob here to read more."""

NOT_YET: tuple[str, ...] = ()
"""Left out of both, by how their paths begin."""

ODD = (
    r"mend(s|ed|ing)?",
    r"anew",
    r"stands? (twice|beside|alone|for itself)",
    r"left alone",
    r"leaves? (the API|it) alone",
    r"(is|are|was) told of",
    r"as of now",
    r"for any thread",
    r"besides",
    r"time-outs?",
    r"there is no such",
    r"belongs? to no",
    r"that there (is|are) not",
    r"struck out",
    r"nobody vouches",
    r"the house",
    r"half a character",
    r"whole again",
    r"what to do to",
    r"placeholder that nothing",
)
BRITISH = (
    r"\w*authoris\w*",
    r"\w*recognis\w*",
    r"\w*organis\w*",
    r"\w*normalis\w*",
    r"\w*initialis\w*",
    r"\w*serialis\w*",
    r"behaviours?",
    r"colours?",
    r"catalogues?",
    r"neighbours?",
    r"favou?rites?",
    r"honours?",
    r"centres?",
    r"licences?",
    r"learnt",
    r"misspelt",
    r"whilst",
    r"amongst",
    r"e-mails?",
)
FORBIDDEN = re.compile(rf"\b({'|'.join(ODD + BRITISH)})\b", re.IGNORECASE)


CODE_SPAN = re.compile(r"`[^`]+`")
"""In a page: names that are what they are."""


def files(patterns: tuple[str, ...]) -> list[Path]:
    found = sorted({file for pattern in patterns for file in ROOT.glob(pattern)})
    return [file for file in found if not str(file.relative_to(ROOT)).startswith(NOT_YET)]


def texts(file: Path) -> Iterator[tuple[int, str]]:
    if file.suffix == ".py":
        yield from strings(file)
    else:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            yield number, CODE_SPAN.sub("", line)


@pytest.mark.parametrize("file", files(CODE + PAGES), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_text_has_a_word_that_must_not_come_back(file: Path) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {match[0]}"
        for line, text in texts(file)
        for match in FORBIDDEN.finditer(text)
    ]
    assert found == []


def test_every_pattern_of_a_file_to_read_finds_one() -> None:
    for pattern in CODE + PAGES:
        assert files((pattern,)), pattern


def test_the_words_are_found_in_any_case_and_as_words_only(tmp_path: Path) -> None:
    assert FORBIDDEN.search("Mend the key")
    assert FORBIDDEN.search("what the colour says")
    assert not FORBIDDEN.search("we recommend the amended file")
    code = tmp_path / "code.py"
    code.write_text('"""mend this docstring"""\nTEXT = f"to mend {1} thing"\nKEY = "mend"\n')
    assert list(strings(code)) == [(2, "to mend ")]
