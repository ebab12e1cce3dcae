"""Log lines: one event, one line of UTF-8, as logfmt or JSON, with known secrets removed."""

from __future__ import annotations

import io
import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from exporter.redaction import KnownSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}

# Minimum levels, whatever --log.level: below them these libraries log each request and connection,
# some with headers; urllib3's warnings quote whatever a peer sent in place of headers.
_QUIET = {
    "asyncio": logging.WARNING,
    "charset_normalizer": logging.WARNING,
    "requests": logging.WARNING,
    "urllib3": logging.ERROR,
    "uvicorn": logging.WARNING,
}
_NAMES = {number: name for name, number in LEVELS.items()} | {logging.CRITICAL: "error"}
_OWN = "exporter"
_FIELDS = "fields"

# Characters that json.dumps does not escape although terminals or viewers interpret them: delete,
# C1 controls, line and paragraph separators, and bidirectional marks.
_ACTIVE = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,~*()\[\]-]+")
_NOT_KEY = re.compile(r"[^A-Za-z0-9_.-]")


def event(
    logger: logging.Logger,
    level: int,
    message: str,
    /,
    *,
    exc_info: BaseException | bool | None = None,
    **fields: object,
) -> None:
    """Log ``message`` with ``fields``; a field that is ``None`` is omitted.

    ``level`` is the standard library's, such as ``logging.WARNING``. ``exc_info`` is an exception
    to show with its traceback, ``True`` for the current one.
    """
    logger.log(level, message, exc_info=exc_info, extra={_FIELDS: fields}, stacklevel=2)


def configure(
    level: str,
    log_format: str,
    secrets: Iterable[str] | KnownSecrets,
    stream: TextIO | None = None,
) -> None:
    """Send all logging to ``stream`` (default: standard error), replacing an earlier call.

    ``level`` is one of `LEVELS`, ``log_format`` one of `ENCODERS`, and no line shows one of the
    ``secrets``.
    """
    target = sys.stderr if stream is None else stream
    if isinstance(target, io.TextIOWrapper):
        target.reconfigure(encoding="utf-8", errors="backslashreplace")
    handler = _Handler(target)
    handler.addFilter(_Repeats())
    handler.setFormatter(LineFormatter(ENCODERS[log_format], secrets))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    for name, lowest in _QUIET.items():
        logging.getLogger(name).setLevel(max(lowest, LEVELS[level]))


class _Repeats(logging.Filter):
    """Limits the lines of one kind per minute, and logs how many were suppressed.

    A repeated error must not fill a disk. Our own limit is higher, since there may be a line for
    each of many accounts at the same time.
    """

    MINUTE = 60.0
    OWN, OTHER = 1000, 10

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        kind = (record.name, str(record.msg))
        most = self.OWN if record.name.partition(".")[0] == _OWN else self.OTHER
        begin, count = self._seen.get(kind, (record.created, 0))
        if not 0 <= record.created - begin < self.MINUTE:
            if count > most:
                setattr(
                    record, _FIELDS, {**getattr(record, _FIELDS, {}), "suppressed": count - most}
                )
            begin, count = record.created, 0
        if len(self._seen) > self.OWN:
            self._seen.clear()
        self._seen[kind] = (begin, count + 1)
        return count < most


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base's
        """Drop the line: the base class would print the record, secrets and all."""


class LineFormatter(logging.Formatter):
    """Formats a record as one line.

    Args:
        encode: from names and values to the line.
        secrets: texts to remove wherever they occur.
    """

    def __init__(
        self,
        encode: Callable[[Mapping[str, Any]], str],
        secrets: Iterable[str] | KnownSecrets,
    ) -> None:
        super().__init__()
        self._encode = encode
        known = secrets if isinstance(secrets, KnownSecrets) else KnownSecrets(secrets)
        self._redact = known.redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line end."""
        fields: dict[str, object] = {
            "time": _time(record.created),
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "msg": _message(record),
        }
        if record.name.partition(".")[0] != _OWN:
            fields["logger"] = record.name
        for name, value in getattr(record, _FIELDS, {}).items():
            fields[_key(name, fields)] = value
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = self.formatException(record.exc_info)
        return self._encode(
            {name: self._plain(value) for name, value in fields.items() if value is not None}
        )

    def _plain(self, value: object) -> bool | int | float | str:
        if isinstance(value, bool | int | float):
            return value
        return _paired(self._redact(value if isinstance(value, str) else str(value)))


def logfmt(fields: Mapping[str, Any]) -> str:
    """``key=value`` pairs; values are quoted and escaped as in JSON if necessary."""
    return " ".join(f"{name}={_logfmt_value(value)}" for name, value in fields.items())


def _logfmt_value(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if _BARE.fullmatch(text) else _quoted(text)


def json_line(fields: Mapping[str, Any]) -> str:
    """A JSON object; numbers that JSON cannot represent become strings."""
    return "{" + ",".join(f"{_quoted(name)}:{_json(value)}" for name, value in fields.items()) + "}"


def _json(value: bool | float | str) -> str:
    if isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value)):
        return _quoted(str(value))
    return json.dumps(value)


ENCODERS: dict[str, Callable[[Mapping[str, Any]], str]] = {"logfmt": logfmt, "json": json_line}


def _quoted(text: str) -> str:
    return _ACTIVE.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)
    )


def _paired(text: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's bad format string must not lose the line
        return str(record.msg)


def _key(name: str, taken: Mapping[str, object]) -> str:
    clean = _NOT_KEY.sub("_", name) or "_"
    while clean in taken:
        clean += "_"
    return clean
