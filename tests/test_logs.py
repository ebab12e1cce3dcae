"""Log lines, read back by independent means: one event is one line, and no line has a secret."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import Reason
from exporter.logs import ENCODERS, LineFormatter, configure, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECRET = "cZ8kP2mQ7vX4rT9w/L1n\"B6'yH3dF5s\\J0"
LOGGER = logging.getLogger("exporter.test")

# A pair, as the logfmt libraries of other languages read it.
PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')


def read_logfmt(line: str) -> dict[str, str]:
    pairs, end = {}, 0
    for found in PAIR.finditer(line):
        assert found.start() == end, line
        end = found.end()
        name, value = found.groups()
        assert name not in pairs
        pairs[name] = json.loads(value) if value.startswith('"') else value
    assert end == len(line), line
    return pairs


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "logfmt": read_logfmt,
    "json": json.loads,
}


class Lines:
    """What was logged, as bytes, decoded and split strictly."""

    def __init__(self, log_format: str) -> None:
        self._read = READERS[log_format]
        self._bytes = io.BytesIO()
        self.stream = io.TextIOWrapper(self._bytes, encoding="ascii")

    @property
    def text(self) -> str:
        self.stream.flush()
        return self._bytes.getvalue().decode("utf-8")

    @property
    def all(self) -> list[dict[str, Any]]:
        # splitlines also splits at what only some programs take for a line end.
        return [self._read(line) for line in self.text.splitlines()]

    @property
    def only(self) -> dict[str, Any]:
        (line,) = self.all
        return line


@pytest.fixture
def log() -> Iterator[Callable[..., Lines]]:
    """``log(format, level=..., secrets=...)`` configures logging into the answer."""
    root = logging.getLogger()
    names = ("asyncio", "charset_normalizer", "requests", "urllib3", "uvicorn")
    levels = [(one, one.level) for one in (root, *map(logging.getLogger, names))]
    ours: list[logging.Handler] = []

    def start(log_format: str, level: str = "info", secrets: Iterable[str] = ()) -> Lines:
        lines = Lines(log_format)
        # pytest's own handlers raise what ours must bear; it takes them out itself.
        root.handlers[:] = ours
        configure(level, log_format, secrets, lines.stream)
        ours[:] = root.handlers
        return lines

    yield start
    for handler in ours:
        root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


both_formats = pytest.mark.parametrize("log_format", sorted(ENCODERS))


def test_a_logfmt_line_looks_as_everywhere_in_this_ecosystem(log: Callable[..., Lines]) -> None:
    lines = log("logfmt")
    event(LOGGER, logging.WARNING, "listing failed", reason=Reason.AUTH, status=403, seconds=0.25,
          transient=False, path="/metrics", text='say "hi"', retry=None)  # fmt: skip
    assert re.fullmatch(
        r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=warn "
        r'msg="listing failed" reason=auth status=403 seconds=0\.25 transient=false '
        r'path=/metrics text="say \\"hi\\""\n',
        lines.text,
    )


def test_a_json_line_keeps_numbers_and_truth_values(log: Callable[..., Lines]) -> None:
    lines = log("json")
    event(
        LOGGER, logging.ERROR, "m", status=403, seconds=0.25, up=True, gone=None, odd=float("inf")
    )
    only = lines.only
    moment = datetime.fromisoformat(only.pop("time"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert only == {
        "level": "error",
        "msg": "m",
        "status": 403,
        "seconds": 0.25,
        "up": True,
        "odd": "inf",
    }


@both_formats
@given(
    message=st.text(st.characters(exclude_categories=())),
    value=st.text(st.characters(exclude_categories=())),
)
def test_any_text_is_one_line_of_utf8_that_reads_back(
    log_format: str, message: str, value: str
) -> None:
    record = logging.makeLogRecord({"name": "exporter", "msg": message, "fields": {"v": value}})
    line = LineFormatter(ENCODERS[log_format], ()).format(record)
    assert line.encode("utf-8").decode("utf-8").splitlines() == [line]
    assert not [one for one in line if unicodedata.category(one) in {"Cc", "Zl", "Zp"}]
    read = READERS[log_format](line)
    paired = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert read["v"] == paired


def test_marks_that_turn_text_round_are_escaped(log: Callable[..., Lines]) -> None:
    lines = log("logfmt")
    event(LOGGER, logging.INFO, "safe\u202egnp.exe\u2066x")
    assert 'msg="safe\\u202egnp.exe\\u2066x"' in lines.text


@both_formats
def test_a_field_cannot_replace_another(log: Callable[..., Lines], log_format: str) -> None:
    lines = log(log_format)
    fields: dict[str, Any] = {"msg": "n", "level": "l", "a b=c": "d"}
    event(LOGGER, logging.INFO, "m", **fields)
    only = lines.only
    assert (only["msg"], only["level"]) == ("m", "info")
    assert (only["msg_"], only["level_"], only["a_b_c"]) == ("n", "l", "d")


@both_formats
def test_an_exception_is_one_field(log: Callable[..., Lines], log_format: str) -> None:
    lines = log(log_format)
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        event(LOGGER, logging.ERROR, "failed", exc_info=error)
    only = lines.only
    assert only["exception"].startswith("Traceback (most recent call last):\n")
    assert only["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


def fail_with(secret: str) -> None:
    try:
        os.environ[secret]
    except KeyError as error:
        raise RuntimeError(f"request with {secret} failed") from error


@both_formats
def test_a_known_secret_is_struck_out_wherever_it_stands(
    log: Callable[..., Lines], log_format: str
) -> None:
    lines = log(log_format, secrets=[SECRET, ""])
    event(LOGGER, logging.INFO, f"token {SECRET}", header=f"Bearer {SECRET}", raw=[SECRET],
          url="https://example.com/?q=cZ8kP2mQ7vX4rT9w%2FL1n%22B6%27yH3dF5s%5CJ0")  # fmt: skip
    LOGGER.info("token %s and %r", SECRET, SECRET)
    logging.getLogger("uvicorn.error").warning("asked with %s", SECRET)
    try:
        fail_with(SECRET)
    except RuntimeError as error:
        event(LOGGER, logging.ERROR, "failed", exc_info=error)
    assert "cZ8k" not in lines.text
    assert "J0" not in lines.text
    first, second, third, fourth = lines.all
    assert (first["msg"], first["header"]) == ("token ***", "Bearer ***")
    assert first["url"] == "https://example.com/?q=***"
    assert second["msg"] == "token *** and '***'"
    assert third["msg"] == "asked with ***"
    assert "KeyError: '***'" in fourth["exception"]
    assert "RuntimeError: request with *** failed" in fourth["exception"]


def test_of_secrets_inside_each_other_nothing_is_left(log: Callable[..., Lines]) -> None:
    lines = log("logfmt", secrets=["abcdefgh", "abcdefghijkl"])
    event(LOGGER, logging.INFO, "abcdefghijkl abcdefgh")
    assert lines.only["msg"] == "*** ***"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_the_lowest_that_is_logged(
    log: Callable[..., Lines], level: str, expected: list[str]
) -> None:
    lines = log("json", level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        event(LOGGER, number, "m")
    assert [line["level"] for line in lines.all] == expected


@pytest.mark.parametrize(("name", "most"), [("exporter.test", 1000), ("asyncio", 10)])
def test_a_line_that_repeats_is_written_so_often_a_minute_and_the_rest_is_counted(
    log: Callable[..., Lines], name: str, most: int
) -> None:
    lines = log("logfmt")
    logger = logging.getLogger(name)
    for number in range(most + 500):
        logger.warning("again: %d", number)
    logger.warning("another")
    assert [line["msg"] for line in lines.all[-2:]] == [f"again: {most - 1}", "another"]
    assert len(lines.all) == most + 1
    later = logger.makeRecord(name, logging.WARNING, __file__, 1, "again: %d", (0,), None)
    later.created += 61
    logger.handle(later)
    assert lines.all[-1]["msg"] == "again: 0"
    assert lines.all[-1]["suppressed"] == "500"


@pytest.mark.parametrize("name", ["charset_normalizer", "uvicorn.error", "asyncio", "requests"])
def test_libraries_are_heard_from_warnings_on_even_at_debug_level(
    log: Callable[..., Lines], name: str
) -> None:
    lines = log("logfmt", "debug")
    logging.getLogger(name).debug("send: Authorization: Bearer x")
    logging.getLogger(name).info("chat")
    logging.getLogger(name).warning("trouble")
    assert lines.only["msg"] == "trouble"
    assert lines.only["logger"] == name


def test_a_warning_that_quotes_a_peer_is_not_shown(log: Callable[..., Lines]) -> None:
    lines = log("logfmt", "debug")
    logging.getLogger("urllib3.connection").warning("Failed to parse headers: %s", "X" * 9000)
    logging.getLogger("urllib3.connection").error("trouble")
    assert lines.only["msg"] == "trouble"


def test_a_librarys_bad_format_string_does_not_cost_the_line(log: Callable[..., Lines]) -> None:
    lines = log("logfmt")
    LOGGER.info("%d things", "many")
    assert lines.only["msg"] == "%d things"


def test_configuring_again_replaces_the_handler(log: Callable[..., Lines]) -> None:
    before = log("logfmt")
    after = log("json")
    event(LOGGER, logging.INFO, "m")
    assert before.text == ""
    assert after.only["msg"] == "m"


def test_a_stream_that_fails_costs_neither_the_program_nor_a_secret() -> None:
    program = f"""
import logging, os, sys
from exporter.logs import configure, event
configure("info", "logfmt", [{SECRET!r}], open("/dev/full", "w"))
for _ in range(3):
    event(logging.getLogger("exporter"), logging.INFO, {SECRET!r})
print("alive", flush=True)
os._exit(0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ended.stdout, ended.stderr) == ("alive\n", "")


def test_lines_go_to_standard_error_as_utf8_in_any_locale() -> None:
    program = """
import logging
from exporter.logs import configure, event
configure("info", "logfmt", ())
event(logging.getLogger("exporter"), logging.INFO, "gr\\u00fc\\u00df \\U0001f600 \\udc80")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert ended.stdout == b""
    assert ended.stderr.decode("utf-8").endswith('msg="gr\u00fc\u00df \U0001f600 \ufffd"\n')
