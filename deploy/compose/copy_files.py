"""Copies the stack's configuration to where every container may read it: copy_files.py FROM TO."""
# ruff: noqa: INP001 - mounted into a container by itself

import os
import shutil
import sys
from pathlib import Path

EMPTY = ("grafana/alerting", "grafana/plugins")
"""Folders that Grafana looks into."""


def copy(source: Path, target: Path) -> None:
    """Make `target` hold what `source` holds, readable by everybody."""
    os.umask(0o022)
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in sorted(wanted):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    for name in EMPTY:
        (target / name).mkdir(parents=True, exist_ok=True)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target) not in wanted:
            path.unlink()


if __name__ == "__main__":
    copy(Path(sys.argv[1]), Path(sys.argv[2]))
