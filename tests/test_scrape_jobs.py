"""The scrape jobs of the documentation and of the stack: promtool takes each, and they hold."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.settings import FLAGS
from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from mixin.thresholds import seconds
from processes import ROOT, Prometheus, RunningExporter, eventually
from realparts import require

TEXTS = sorted(
    path
    for folder in (".", "docs", "alerts", "dashboards", "deploy")
    for path in ROOT.joinpath(folder).glob("*.md" if folder == "." else "**/*.md")
)
FILES = sorted(
    [*ROOT.glob("docs/**/*.yml"), *ROOT.glob("deploy/compose/*.yml")],
)
BLOCK = re.compile(r"```yaml\n(.*?)```|<<'EOF'\n(.*?)^EOF$", re.DOTALL | re.MULTILINE)

SCRAPE_TIMEOUT = next(float(flag.default) for flag in FLAGS if flag.name == "--scrape.timeout")


def documented() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every configuration of Prometheus with a scrape job, by where it is."""
    for path in TEXTS:
        found = [one or other for one, other in BLOCK.findall(path.read_text())]
        for number, text in enumerate(found):
            if "scrape_configs:" in text:
                yield f"{path.relative_to(ROOT)}-{number}", yaml.safe_load(text)
    for path in FILES:
        if "scrape_configs:" in path.read_text():
            yield str(path.relative_to(ROOT)), yaml.safe_load(path.read_text())


CONFIGS = dict(documented())
JOBS = {name: config["scrape_configs"][0] for name, config in CONFIGS.items()}

per_config = pytest.mark.parametrize("name", CONFIGS)


def test_there_are_jobs_in_all_these_places() -> None:
    places = {re.sub(r"-\d+$", "", name) for name in CONFIGS}
    assert places == {
        "README.md",
        "deploy/compose/prometheus.yml",
        "docs/getting-started.md",
        "docs/operating/configuration.md",
        "docs/operating/probes.md",
        "docs/operating/scaling.md",
        "docs/operating/security.md",
        "docs/operating/sharding/prometheus-shard.yml",
        "docs/operating/sharding/prometheus.yml",
        "docs/reference/endpoints.md",
    }
    several = {name for name, config in CONFIGS.items() if len(config["scrape_configs"]) > 1}
    assert several == {"docs/operating/probes.md-1"}


def test_jobs_of_probes_have_names_and_limits_of_their_own() -> None:
    _, *jobs = CONFIGS["docs/operating/probes.md-1"]["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["cloudflare-mcp-servers", "cloudflare-mcp-portals"]
    for job in jobs:
        assert seconds(job["scrape_timeout"]) < seconds(job["scrape_interval"])
        assert 100 <= job["sample_limit"] <= 5000


@per_config
def test_promtool_takes_it(name: str, tmp_path: Path) -> None:
    config = {**CONFIGS[name], "rule_files": []}
    # What it names besides must be there.
    for file in re.findall(r"'\w+_file': '([^']+)'", str(config)):
        (tmp_path / file).write_text("secret")
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [require("promtool"), "check", "config", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@per_config
def test_its_timeout_is_longer_than_the_exporter_s_and_its_samples_are_limited(name: str) -> None:
    job, unless_given = JOBS[name], {"scrape_interval": "1m", **CONFIGS[name].get("global", {})}
    interval = job.get("scrape_interval", unless_given["scrape_interval"])
    assert job["job_name"] == "cloudflare-mcp"
    assert SCRAPE_TIMEOUT < seconds(job["scrape_timeout"]) < seconds(interval)
    assert job["sample_limit"] >= 10_000


DISCOVERING = [name for name, job in JOBS.items() if "http_sd_configs" in job]


@pytest.mark.parametrize("name", DISCOVERING)
def test_discovered_accounts_are_targets_with_an_instance_each(name: str) -> None:
    *_, last = JOBS[name]["relabel_configs"]
    assert last == {
        "source_labels": ["__address__", "__param_account"],
        "separator": "/",
        "target_label": "instance",
    }


def test_an_account_beyond_the_limit_is_one_target_down_and_the_others_are_not(
    run_exporter: Callable[..., RunningExporter],
    run_prometheus: Callable[[str], Prometheus],
    tmp_path: Path,
) -> None:
    small, large = "a" * 32, "b" * 32
    accounts = {
        small: uniform_account(portals=1, servers=2, tools=1),
        large: uniform_account(portals=2, servers=20, tools=1),
    }
    with Simulator(accounts, quota=None) as simulator:
        names = {"Small": small, "Large": large}
        listed = [
            {"name": name, "account_id": one, "api_token": simulator.token}
            for name, one in names.items()
        ]
        file = tmp_path / "config.yml"
        file.write_text(yaml.safe_dump({"base_url": simulator.base_url, "accounts": listed}))
        exporter = run_exporter(f"--config.file={file}")
        config = CONFIGS[DISCOVERING[0]]
        (job,) = config["scrape_configs"]
        address = exporter.url.removeprefix("http://")
        job = {
            **job,
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "sample_limit": 1_000,
            "http_sd_configs": [{"url": f"{exporter.url}/sd", "refresh_interval": "1s"}],
        }
        prometheus = run_prometheus(yaml.safe_dump({**config, "scrape_configs": [job]}))

        def up() -> dict[str, float]:
            return {labels["instance"]: value for labels, value in prometheus.query("up")}

        expected = {f"{address}/Small": 1.0, f"{address}/Large": 0.0}
        eventually(lambda: expected.items() <= up().items(), f"{expected}")
        seen = prometheus.query("cloudflare_mcp_up")
        assert [labels["account_id"] for labels, _ in seen] == [small]
