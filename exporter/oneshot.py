"""One exposition without a server: to standard output, or to a file for the node_exporter."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TextIO

from exporter.errors import SettingsError
from exporter.metrics.catalogue import ALL
from exporter.metrics.formats import Format
from exporter.service import Service

NAMES = frozenset(metric.name for metric in ALL)
"""The product's own families. The node_exporter has a process of its own to tell of, and refuses
a second one's metrics under the same names."""

SUFFIX = ".prom"
"""What the node_exporter reads in its directory; it passes over everything else."""


def expose_once(service: Service, textfile: str, output: TextIO) -> int:
    """List every account once and write the exposition in the text format.

    Args:
        service: of the accounts.
        textfile: where to write, whole or not at all; empty for ``output``.
        output: standard output.

    Returns:
        The exit status: 0, or 1 when an account failed (the exposition says which).

    Raises:
        SettingsError: the file cannot be written.
    """
    target = _checked(textfile) if textfile else None
    scrapes = service.begin(None).result()
    exposition = b"".join(service.expose(scrapes, Format.TEXT, NAMES))
    if target is None:
        output.write(exposition.decode())
        output.flush()
    else:
        _write(target, exposition)
    return int(any(scrape.failure is not None for scrape in scrapes.accounts))


def _checked(textfile: str) -> Path:
    """The path, where a file can be put there: found out before the API is asked."""
    target = Path(textfile)
    if target.suffix != SUFFIX:
        raise SettingsError(
            f"--textfile: {textfile} must end in {SUFFIX}, or the node_exporter passes it over"
        )
    if not target.parent.is_dir():
        raise SettingsError(f"--textfile: {target.parent} is not a directory; make it first")
    return target


def _write(target: Path, exposition: bytes) -> None:
    """Write beside the target and rename, so that a reader sees the old file or the new one."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(exposition)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)  # the node_exporter runs as another user
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise SettingsError(f"--textfile: {target} cannot be written: {problem.strerror}") from None
