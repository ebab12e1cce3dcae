"""A YAML file as plain values, each of which can be found again by its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import yaml

from exporter.errors import SettingsError
from exporter.settings import read_file

MAX_FILE = 1 << 20
"""Bytes: room for thousands of accounts, and a bound for what parsing costs."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
# Lowercase words, or capitalized ones as in a header's name: a part of a token mixes its letters.
_KEY = re.compile(r"(?=.{1,31}$)_?(?:[a-z]+(?:[_.-]+[a-z]+)*|[A-Z][a-z]+(?:-[A-Z][a-z]+)*)")
_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")
)
_MERGE = "tag:yaml.org,2002:merge"
LONGEST_NUMBER = 100
"""Characters: longer ones take long to convert, and none is in range."""

MAX_NODES = 1_000_000
"""Values in a file with each alias written out: more than the largest file has without any."""

# What the parser quotes of the file, but for its own words in angle brackets.
_QUOTED = re.compile(r"'(?!<|\\.')[^']{2,}'|\"[^\"]{2,}\"")
_UNSHOWN = re.compile(r"(^|\.)[^.]*[^ -~].*", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Document:
    """What a file holds.

    Attributes:
        value: plain dictionaries, lists, texts, numbers, truth values and None.
    """

    def __init__(self, name: str, node: yaml.Node | None, value: object) -> None:
        self.value = value
        self._name = name
        self._node = node

    def errors(self, complaints: Iterable[tuple[str, str]]) -> SettingsError:
        """One error about all these places and what is wrong there, in the order of the file."""
        in_order = sorted(complaints, key=lambda one: self._line(one[0]) or 0)
        return SettingsError(*(str(self.error(*one)) for one in in_order))

    def error(self, path: str, complaint: str) -> SettingsError:
        """The error about a place in the file, such as ``accounts[2].api_token``.

        Where the place is not there, its line is that of what should hold it. A key that is not
        printable ASCII is left out.
        """
        shown = path if path.isascii() and path.isprintable() else _UNSHOWN.sub("", path)
        place = f"{shown}: " if shown else ""
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


def read(name: str, data_of: Callable[[str, int], bytes] = read_file.read) -> Document:
    """The YAML file of this name.

    Args:
        name: of the file.
        data_of: reads it, as `files.read` does.

    Raises:
        SettingsError: it cannot be read, or is no YAML; quotes nothing of what it holds.
    """
    loader = _Loader(_text(name, data_of))
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(name, None, None)
        _refuse_bomb(node)
        value = loader.construct_document(node)
    except _OwnError as problem:
        raise SettingsError(f"{_at(name, _line(problem))}: {problem.problem}") from None
    except yaml.MarkedYAMLError as problem:
        raise _syntax_error(name, problem) from None
    except RecursionError:
        raise SettingsError(f"{_at(name)}: is nested too deeply; see the documentation") from None
    except (ValueError, ArithmeticError):  # of an escape such as \\UFFFFFFFF
        line = loader.get_mark().line + 1
        complaint = "invalid YAML: invalid escape or number"
        raise SettingsError(f"{_at(name, line)}: {complaint}") from None
    return Document(name, node, value)


def _text(name: str, data_of: Callable[[str, int], bytes]) -> str:
    try:
        data = data_of(name, MAX_FILE)
        text = data.decode("utf-8-sig")
    except read_file.UnreadableError as problem:
        raise SettingsError(f"{_at(name)}: {problem}") from None
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise SettingsError(f"{_at(name, line)}: is not UTF-8; save it as UTF-8") from None
    control = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise SettingsError(f"{_at(name, line)}: contains a control character; remove it")
    return text


def _at(name: str, line: int | None = None) -> str:
    shown = name if name.isprintable() and name.isascii() else ascii(name)
    return shown if line is None else f"{shown}:{line}"


def _syntax_error(name: str, problem: yaml.MarkedYAMLError) -> SettingsError:
    """Not the error's own text, which shows the line: that may hold a secret."""
    said = problem.problem or "cannot be read"
    said = f"{problem.context}, {said}" if said.startswith("but ") else said
    words = _QUOTED.sub("something", said)
    return SettingsError(f"{_at(name, _line(problem))}: invalid YAML: {words}")


def _line(problem: yaml.MarkedYAMLError) -> int | None:
    mark = problem.problem_mark or problem.context_mark
    return None if mark is None else mark.line + 1


class _OwnError(yaml.constructor.ConstructorError):
    """A complaint in our own words, which quote nothing."""

    def __init__(self, complaint: str, mark: yaml.Mark) -> None:
        super().__init__(None, None, complaint, mark)


class _Loader(yaml.SafeLoader):
    """Knows the values that JSON has and ``<<``; a date is text, any other tag is refused."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [pair for pair in pairs if pair[0] in {*_TAGS, _MERGE}]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {tag: yaml.SafeLoader.yaml_constructors[tag] for tag in _TAGS}  # noqa: RUF012 - as above

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Called by the base class for each value; a scalar gives one that fits its tag."""
        if node.tag not in _TAGS:
            raise _OwnError("unsupported YAML tag; remove it", node.start_mark)
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            value = self._scalar(node)
        except (ValueError, LookupError, ArithmeticError):
            raise _OwnError("the value does not match its YAML tag", node.start_mark) from None
        return _joined(value, node) if isinstance(value, str) else value

    def _scalar(self, node: yaml.ScalarNode) -> object:
        is_number = node.tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
        if is_number and len(node.value) > LONGEST_NUMBER:
            raise ValueError
        return super().construct_object(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called by the base class to merge what ``<<`` refers to."""
        _refuse_duplicates(node)
        super().flatten_mapping(node)
        # Where merged mappings merge others, the same keys would come again and again.
        node.value = list({_key(key): (key, value) for key, value in node.value}.values())


def _joined(text: str, node: yaml.Node) -> str:
    """The text with pairs of surrogates joined, as JSON escapes what is beyond 16 bits."""
    if not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _OwnError("contains an unpaired surrogate; remove it", node.start_mark) from None


def _refuse_bomb(root: yaml.Node) -> None:
    """Aliases make a graph of a file; what is left through is a tree of bounded size."""
    sizes: dict[int, int] = {}  # with aliases written out, by node; 0 while it is counted
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts = _parts(node)
        if id(node) not in sizes:
            sizes[id(node)] = 0
            if any(sizes.get(id(part)) == 0 for part in parts):
                raise _OwnError("an alias refers to itself; write the value out", node.start_mark)
            waiting += [part for part in parts if id(part) not in sizes]
            continue
        waiting.pop()
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
        if sizes[id(node)] > MAX_NODES:
            raise _OwnError("aliases expand to too many values; write them out", node.start_mark)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _refuse_duplicates(node: yaml.MappingNode) -> None:
    lines: dict[object, int] = {}
    for key, _ in node.value:
        if _key(key) in lines:
            name = shown_key(key.value)
            raise _OwnError(
                f"duplicate key{f' {name}' if name else ''}, first used in line "
                f"{lines[_key(key)]}; remove one",
                key.start_mark,
            )
        lines[_key(key)] = key.start_mark.line + 1


def _key(node: yaml.Node) -> object:
    return node.value if isinstance(node, yaml.ScalarNode) else id(node)


def shown_key(key: object) -> str:
    """A key as an error may show it; empty for what does not look like one: it may be a secret."""
    return repr(key) if isinstance(key, str) and _KEY.fullmatch(key) else ""


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
