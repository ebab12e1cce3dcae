"""Takes the pictures of the documentation: ``make screenshots``.

The status page shows the demo's account three and a half minutes after its start, at the size that
the README shows.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from exporter.simulator.server import Simulator
from processes import ROOT, RunningExporter, get
from realparts import find

PICTURE = ROOT / "docs" / "images" / "status-page.png"
MOMENT = 210.0
"""Seconds since the story of the demo began."""
SIZE = (1280, 1000)


def main() -> int:
    """Write the picture; the exit status."""
    chromium, node = find("chromium"), find("node")
    if chromium is None or node is None:
        sys.stderr.write("chromium is not installed: run make parts\n")
        return 1
    now = time.time()
    moments = iter([now - MOMENT])  # the story begins at the first
    with (
        tempfile.TemporaryDirectory() as home,
        Simulator(clock=lambda: next(moments, now)) as simulator,
    ):
        running = RunningExporter(Path(home), "--collector.servers", env=simulator.environment())
        try:
            running.await_ready()
            get(f"{running.url}/metrics").raise_for_status()
            os.environ["PLAYWRIGHT_NODEJS_PATH"] = node
            photograph(chromium, running.url)
        finally:
            running.stop()
    return 0


def photograph(chromium: str, url: str) -> None:
    """Save the first screen of the page at the URL."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu"],  # it may run as root
        )
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(url)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
