"""The table of faults in the documentation is what a real exporter does."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from faultmatrix import FAULTS, LIMIT, MEMORY, PAGE, TIMEOUT, WHEN, answering, written
from processes import RunningExporter, get
from rawserver import answer, listing, sends
from watching import failures, samples, value


@dataclass(frozen=True)
class Faulty:
    """An exporter with an account for each fault."""

    exporter: RunningExporter

    def peak(self) -> int:
        """Its largest memory since `forget`, in bytes."""
        return self._status("VmHWM")

    def forget(self) -> int:
        """Begin to watch its memory; what it has now, in bytes."""
        Path(f"/proc/{self.exporter.process.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.exporter.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    home = tmp_path_factory.mktemp("faulty")
    lines = [f"timeout: {TIMEOUT}", f"max_response_size: {LIMIT}", "accounts:"]
    token = home / "gone.token"
    token.write_text("token-of-a-test")
    with ExitStack() as cleanup:
        for number, fault in enumerate(FAULTS):
            keys = dict(fault.way(cleanup))
            if "api_token_file" not in keys:
                keys["api_token"] = f"token-of-{number}"
            lines += [f"  - name: fault-{number}", f"    account_id: '{number:032x}'"]
            lines += [f"    {key}: {text}" for key, text in keys.items()]
        config = home / "config.yml"
        # What a reload adds is listed when it is scraped, not by itself as at the start.
        fine = dict(answering(sends(answer(listing([]))))(cleanup))
        config.write_text(
            f"accounts: [{{account_id: {'f' * 32}, api_token: token-of-a-test, "
            f"base_url: '{fine['base_url']}'}}]\n"
        )
        exporter = RunningExporter(home, f"--config.file={config}", env={})
        cleanup.callback(exporter.kill)
        exporter.await_ready()
        exporter.logged("listing succeeded")
        config.write_text("\n".join([*lines, ""]))
        exporter.process.send_signal(signal.SIGHUP)
        exporter.logged("configuration reloaded")
        token.unlink()
        yield Faulty(exporter)
        assert exporter.stop() == 0


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[fault.name for fault in FAULTS])
def test_a_fault_is_told_as_the_table_says(faulty: Faulty, number: int) -> None:
    fault = FAULTS[number]
    announced = (
        {}
        if fault.announced is None
        else {"X-Prometheus-Scrape-Timeout-Seconds": str(fault.announced)}
    )
    before = faulty.forget()
    url = f"{faulty.exporter.url}/probe?account=fault-{number}"
    answer = get(url, 60.0, headers=announced)
    took, added = answer.elapsed.total_seconds(), faulty.peak() - before
    text = answer.text
    assert failures(text) == ({fault.reason: 1} if fault.reason else {})
    assert value(text, "cloudflare_mcp_up") == float(fault.goes_up)
    if not fault.goes_up:
        kept = {name for name, _ in samples(text) if name.startswith("cloudflare_mcp_")}
        assert not any("portal" in name or "server" in name for name in kept)
    for name, expected in fault.shows.items():
        assert sum(number for (one, _), number in samples(text).items() if one == name) == expected
    lowest, highest = WHEN[fault.when]
    assert lowest <= took <= highest
    assert added < MEMORY[fault.memory] << 20
    assert "Traceback" not in faulty.exporter.log


def test_the_documentation_has_the_table() -> None:
    assert written(PAGE.read_text()) == PAGE.read_text(), "run make docs"
