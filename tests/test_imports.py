"""The modules form layers without a cycle, and each third party comes in by its own doors."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from processes import ROOT, bare_environment

PACKAGE = ROOT / "exporter"

# What a part may import of this package, from the bottom up. A part is a module or a folder
# right under the package; within a folder the modules are free, as long as they make no cycle.
ALLOWED: dict[str, set[str]] = {
    "exporter": set(),
    "exporter.deadline": {"errors"},
    "exporter.descriptors": {"errors", "logs"},
    "exporter.errors": set(),
    "exporter.logs": {"redaction"},
    "exporter.history": {"model"},
    "exporter.malloc": set(),
    "exporter.model": set(),
    "exporter.redaction": set(),
    "exporter.simulator": set(),
    "exporter.threads": set(),
    "exporter.scrape_result": {"errors", "history", "model"},
    "exporter.settings": {"errors"},
    "exporter.cloudflare": {"deadline", "errors", "logs", "model", "threads"},
    "exporter.probes": {"cloudflare", "deadline", "errors", "model", "threads"},
    "exporter.listing_log": {"errors", "logs", "model", "scrape_result"},
    "exporter.metrics": {"errors", "model", "scrape_result"},
    "exporter.web": {
        *("errors", "history", "logs", "metrics", "model", "scrape_result", "settings"),
        "threads",
    },
    "exporter.collector": {
        *("deadline", "errors", "history", "listing_log", "logs", "metrics", "model"),
        *("scrape_result", "threads"),
    },
    "exporter.accounts": {
        *("cloudflare", "collector", "deadline", "logs", "metrics", "model"),
        *("redaction", "scrape_result", "settings", "threads"),
    },
    "exporter.account_probes": {
        *("accounts", "deadline", "errors", "metrics", "model", "probes", "redaction"),
        *("settings", "threads"),
    },
    "exporter.commands": {
        *("account_probes", "accounts", "errors", "metrics", "model", "probes", "scrape_result"),
    },
    "exporter.auto_reload": {"settings", "threads"},
    "exporter.reload": {"accounts", "errors", "logs", "redaction", "settings", "threads"},
    "exporter.cli": {
        *("account_probes", "accounts", "auto_reload", "commands", "descriptors", "errors"),
        *("logs", "malloc", "probes", "redaction", "reload", "settings", "simulator", "web"),
    },
    "exporter.__main__": {"cli"},
}

# Where each third party comes in; msgspec, the values' own library, is at home everywhere.
DOORS: dict[str, set[str]] = {
    "bcrypt": {"exporter.web"},
    "h11": {"exporter.web"},  # the parser under uvicorn, which brings it along
    "jinja2": {"exporter.web"},
    "markdown_it": {"exporter.web"},
    "msgspec": {"*"},
    # The accounts hand their families over in the client's own interface.
    "prometheus_client": {"exporter.accounts", "exporter.metrics"},
    "requests": {"exporter.cloudflare", "exporter.probes"},
    "urllib3": {"exporter.cloudflare", "exporter.probes"},
    "uvicorn": {"exporter.web"},
    "yaml": {"exporter.settings", "exporter.simulator"},
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_by(path: Path) -> set[str]:
    """Full names of what a module imports, those for type checkers included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} has a relative import"
            source = str(node.module)
            names = {f"{source}.{alias.name}" for alias in node.names}
            submodules = names & MODULES.keys()
            # `from package import module` is about the module, everything else about the source.
            found |= submodules if submodules == names else submodules | {source}
    return found


IMPORTS = {name: imported_by(path) for name, path in MODULES.items()}


def part_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def own(imported: set[str]) -> set[str]:
    return {name for name in imported if name.split(".")[0] == "exporter"}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    part = part_of(module)
    assert part in ALLOWED, f"{part} is new: say in ALLOWED what it may import"
    allowed = {"exporter", part} | {f"exporter.{name}" for name in ALLOWED[part]}
    strays = {name for name in own(IMPORTS[module]) if part_of(name) not in allowed}
    assert strays == set()


def test_no_module_imports_itself_round_a_circle() -> None:
    graph = {name: own(imported) & MODULES.keys() - {name} for name, imported in IMPORTS.items()}
    tuple(TopologicalSorter(graph).static_order())


def test_the_table_of_layers_is_without_a_cycle_and_names_nothing_that_is_gone() -> None:
    graph = {part: {f"exporter.{name}" for name in below} for part, below in ALLOWED.items()}
    tuple(TopologicalSorter(graph).static_order())
    assert set(ALLOWED) == {part_of(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_a_third_party_comes_in_by_its_own_doors(module: str) -> None:
    for name in {name.split(".")[0] for name in IMPORTS[module]} - {"exporter"}:
        if name in sys.stdlib_module_names:
            continue
        assert name in DOORS, f"{name} is new: say in DOORS where it may come in"
        assert DOORS[name] & {"*", part_of(module)}, f"{name} has no door in {part_of(module)}"


LOOK = """
import importlib, os, pkgutil, sys, threading
# What third parties do when they are loaded is theirs (urllib3 tries whether IPv6 works).
for name in ("msgspec", "prometheus_client", "requests", "urllib3", "uvicorn", "yaml"):
    importlib.import_module(name)

def refuse(event, arguments):
    if event in {"socket.__new__", "socket.bind", "socket.connect", "subprocess.Popen"}:
        sys.exit(f"importing did {event}")

sys.addaudithook(refuse)
import exporter
for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert "exporter.model" in sys.modules
from prometheus_client import REGISTRY
ours = [family.name for family in REGISTRY.collect() if family.name.startswith("cloudflare")]
assert not ours, ours
print("quiet")
"""


def test_importing_every_module_starts_no_thread_opens_no_socket_registers_nothing(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOOK],
        env=bare_environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("quiet\n", "", 0)
