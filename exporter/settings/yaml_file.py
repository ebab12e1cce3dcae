"""A YAML file as plain values, each of which can be found again by its line."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import yaml

from exporter.errors import SettingsError

LARGEST_FILE = 1 << 20
"""Bytes: room for thousands of accounts, and a bound for what parsing costs."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_KEY = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,30}")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# What the parser quotes of the file, but for its own words in angle brackets.
_QUOTED = re.compile(r"'(?!<|\\.')[^']{2,}'")


class Document:
    """What a file holds.

    Attributes:
        value: plain dictionaries, lists, texts, numbers, truth values and None.
    """

    def __init__(self, name: str, node: yaml.Node | None, value: object) -> None:
        self.value = value
        self._name = name
        self._node = node

    def error(self, path: str, complaint: str) -> SettingsError:
        """The error about a place in the file, such as ``accounts[2].api_token``.

        Where the place is not there, its line is that of what should hold it.
        """
        place = f"{path}: " if path else ""
        return SettingsError(f"{_at(self._name, self._line(path))}: {place}{complaint}")

    def _line(self, path: str) -> int | None:
        if self._node is None:
            return None
        node, line = self._node, self._node.start_mark.line
        for key, index in _STEP.findall(path):
            found = _item(node, int(index)) if index else _member(node, key)
            if found is None:
                break
            mark, node = found
            line = mark.line
        return line + 1


def read(name: str) -> Document:
    """The YAML file of this name.

    Raises:
        SettingsError: it cannot be read, or is no YAML; quotes nothing of what it holds.
    """
    text = _text(name)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except _DuplicateKeyError as problem:
        raise SettingsError(f"{_at(name, _line(problem))}: {problem.problem}") from None
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise SettingsError(f"{_at(name, line)}: has a control character; remove it") from None
    except yaml.MarkedYAMLError as problem:
        raise _syntax_error(name, problem) from None
    except RecursionError:
        raise SettingsError(f"{_at(name)}: is nested too deeply; see the documentation") from None
    except (ValueError, TypeError):
        raise SettingsError(f"{_at(name)}: has a value that does not fit its tag") from None
    return Document(name, node, value)


def _text(name: str) -> str:
    try:
        data = _bytes(Path(name))
    except (OSError, ValueError) as problem:  # the latter for a null in the path
        known = problem.strerror if isinstance(problem, OSError) else None
        cause = (known or "it has no usable name").lower()
        raise SettingsError(f"{_at(name)}: cannot be read: {cause}") from None
    if len(data) > LARGEST_FILE:
        raise SettingsError(f"{_at(name)}: is larger than {LARGEST_FILE} bytes; is it the file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise SettingsError(f"{_at(name, line)}: is not UTF-8; save it in that encoding") from None


def _bytes(path: Path) -> bytes:
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        raise SettingsError(f"{_at(str(path))}: is a directory; name the file in it")
    if not stat.S_ISREG(kind):
        raise SettingsError(f"{_at(str(path))}: is not a regular file, so it could not be reloaded")
    with path.open("rb") as opened:
        return opened.read(LARGEST_FILE + 1)


def _at(name: str, line: int | None = None) -> str:
    shown = name if name.isprintable() and name.isascii() else ascii(name)
    return shown if line is None else f"{shown}:{line}"


def _syntax_error(name: str, problem: yaml.MarkedYAMLError) -> SettingsError:
    """Not the error's own text, which shows the line: that may hold a secret."""
    said = problem.problem or "cannot be read"
    said = f"{problem.context}, {said}" if said.startswith("but ") else said
    words = _QUOTED.sub("something", said)
    return SettingsError(f"{_at(name, _line(problem))}: is not YAML: {words}")


def _line(problem: yaml.MarkedYAMLError) -> int | None:
    mark = problem.problem_mark or problem.context_mark
    return None if mark is None else mark.line + 1


class _DuplicateKeyError(yaml.constructor.ConstructorError):
    """A key stands twice in one mapping."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, and leaves dates as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [pair for pair in pairs if pair[0] != _TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called by the base class to merge what ``<<`` refers to."""
        _refuse_duplicates(node)
        super().flatten_mapping(node)
        # Where merged mappings merge others, the same keys would come again and again.
        node.value = list({_key(key): (key, value) for key, value in node.value}.values())


def _refuse_duplicates(node: yaml.MappingNode) -> None:
    lines: dict[object, int] = {}
    for key, _ in node.value:
        if _key(key) in lines:
            name = f"the key {shown_key(key.value)}"
            complaint = f"{name} stands twice, first in line {lines[_key(key)]}; leave one out"
            raise _DuplicateKeyError(None, None, complaint, key.start_mark)
        lines[_key(key)] = key.start_mark.line + 1


def _key(node: yaml.Node) -> object:
    return node.value if isinstance(node, yaml.ScalarNode) else id(node)


def shown_key(key: object) -> str:
    """A key as it may stand in an error: what does not look like one may be a secret."""
    is_plain = isinstance(key, str) and _KEY.fullmatch(key)
    return repr(key) if is_plain else "that begins here"


def _member(node: yaml.Node, name: str) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key.start_mark, value
    return None


def _item(node: yaml.Node, index: int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and index < len(node.value):
        item: yaml.Node = node.value[index]
        return item.start_mark, item
    return None
