"""The documented ways to share many accounts among exporters, run as they are documented."""

from __future__ import annotations

import itertools
import json
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from exporter.simulator.server import Simulator
from exporter.simulator.uniform_account import uniform_account
from processes import ROOT, Prometheus, RunningExporter, eventually

EXAMPLES = ROOT / "docs" / "operating" / "sharding"
SERVICE = "cloudflare-mcp-exporter:10180"
REPLICA = "cloudflare-mcp-exporter-$1.cloudflare-mcp-exporter-replicas:10180"
NETWORK = "127.0.10"
"""Replica N has the address N of it: on Linux all of 127.0.0.0/8 is loopback."""

IDS = [f"{number:032x}" for number in range(1, 25)]

WITH_RULES = f"""
global: {{evaluation_interval: 1s}}
rule_files: ["{ROOT}/alerts/*.rules.yml"]
"""

RunExporter = Callable[..., RunningExporter]
RunPrometheus = Callable[[str], Prometheus]


class UniformAccount:
    """Three replicas with one configuration file, before a simulated API.

    Attributes:
        simulator: the API.
        port: on which every replica listens, each at its own address.
    """

    def __init__(self, simulator: Simulator, file: Path, run_exporter: RunExporter) -> None:
        self.simulator = simulator
        self.port = _free_port()
        self._file = file
        self._replicas: list[RunningExporter] = []
        self.configure(IDS)
        self._replicas = [
            run_exporter(f"--config.file={file}", f"--web.listen-address={address}:{self.port}")
            for address in self.addresses
        ]

    @property
    def addresses(self) -> list[str]:
        """Where the replicas are."""
        return [f"{NETWORK}.{number}" for number in range(3)]

    def configure(self, ids: Sequence[str]) -> None:
        """Put these accounts into the file, and have every replica load it."""
        token = self.simulator.token
        accounts = [
            {"name": f"Customer {one}", "account_id": one, "api_token": token} for one in ids
        ]
        document = {"base_url": self.simulator.base_url, "accounts": accounts}
        self._file.write_text(json.dumps(document))
        for replica in self._replicas:
            replica.process.send_signal(signal.SIGHUP)


@pytest.fixture
def replicas(tmp_path: Path, run_exporter: RunExporter) -> Iterator[UniformAccount]:
    """Three replicas of 24 accounts."""
    uniform = uniform_account(portals=1, servers=2, tools=1)
    with Simulator(dict.fromkeys(IDS, uniform), quota=None) as simulator:
        yield UniformAccount(simulator, tmp_path / "config.yml", run_exporter)


@contextmanager
def service_of(uniform_account: UniformAccount) -> Iterator[str]:
    """One address for all replicas: each connection goes to the next of them."""
    turns = itertools.cycle(uniform_account.addresses)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((next(turns), uniform_account.port)) as replica:
            back = threading.Thread(target=_pass_on, args=(replica, client), daemon=True)
            back.start()
            _pass_on(client, replica)
            back.join()

    def accept() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"127.0.0.1:{door.getsockname()[1]}"
        door.shutdown(socket.SHUT_RDWR)
        accepting.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((f"{NETWORK}.0", 0))
        port: int = probe.getsockname()[1]
        return port


def example(name: str, instead: Mapping[str, str]) -> str:
    """The text of an example with other addresses, and with a second for each of its times."""
    text = (EXAMPLES / name).read_text()
    for old, new in instead.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    text, times = re.subn(r"(?m)^( *(?:scrape_|refresh_)[a-z]+: )\S+$", r"\g<1>1s", text)
    assert times == 3
    return text


def listed(*servers: Prometheus) -> Counter[str]:
    """How many series say that an account is listed now, by account."""
    up = "cloudflare_mcp_up == 1"
    return Counter(labels["account_id"] for each in servers for labels, _ in each.query(up))


def targets(*servers: Prometheus) -> Counter[str]:
    """How many targets there are, by account."""
    active = [each.api("targets", state="active")["activeTargets"] for each in servers]
    labels = (target["labels"] for target in itertools.chain(*active))
    return Counter(one["account"] for one in labels if "account" in one)


def await_once_each(ids: Sequence[str], *servers: Prometheus) -> None:
    """Wait until each of these accounts has one target and one series, and no other has any."""
    wanted = Counter(ids), Counter(f"Customer {one}" for one in ids)
    eventually(
        lambda: (listed(*servers), targets(*servers)) == wanted, f"{len(ids)} accounts, once each"
    )


def rule_healths(prometheus: Prometheus) -> set[str]:
    """What Prometheus says of the rules, each thing once."""
    return {
        rule["health"] for group in prometheus.api("rules")["groups"] for rule in group["rules"]
    }


def owners(prometheus: Prometheus) -> dict[str, str]:
    """The address that lists each account."""
    series = prometheus.query("cloudflare_mcp_up")
    instances = {labels["account_id"]: labels["instance"] for labels, _ in series}
    assert len(set(instances.values())) == len(instances)
    return {one: instance.partition("/")[0] for one, instance in instances.items()}


def test_accounts_hashed_over_replicas_are_each_listed_by_one_of_them(
    replicas: UniformAccount, run_prometheus: RunPrometheus
) -> None:
    with service_of(replicas) as service:
        config = example(
            "prometheus.yml", {SERVICE: service, REPLICA: f"{NETWORK}.$1:{replicas.port}"}
        )
        prometheus = run_prometheus(WITH_RULES + config)
        await_once_each(IDS, prometheus)
        eventually(lambda: rule_healths(prometheus) == {"ok"}, "working rules")
        first = owners(prometheus)
        assert set(first.values()) == {f"{one}:{replicas.port}" for one in replicas.addresses}

        *remaining, _ = IDS
        replicas.configure(remaining)
        await_once_each(remaining, prometheus)
        own = f'{{__name__=~"cloudflare_mcp_.*", account_id="{IDS[-1]}"}}'
        assert prometheus.query(own) == []
        # Whoever goes, the others stay where they are.
        assert owners(prometheus) == {one: first[one] for one in remaining}


def test_servers_that_keep_a_share_each_list_every_account_once_through_one_service(
    replicas: UniformAccount, run_prometheus: RunPrometheus
) -> None:
    with service_of(replicas) as service:
        servers = [
            run_prometheus(example("prometheus-shard.yml", {SERVICE: service, "|.+;0": f"|.+;{n}"}))
            for n in range(2)
        ]
        await_once_each(IDS, *servers)
        assert all(listed(each) for each in servers)
        name = "cloudflare_mcp_exporter_account_configured_timestamp_seconds"
        for each in servers:
            eventually(lambda: len(each.query(name)) == len(IDS), "the list of accounts")  # noqa: B023


def test_the_examples_name_the_services_and_the_number_of_replicas_of_the_manifests() -> None:
    objects = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yml").read_text()))
    services = {each["metadata"]["name"]: each["spec"] for each in objects[:-1]}
    stateful = objects[-1]["spec"]
    (job,) = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())["scrape_configs"]
    hashing, addressing, _ = job["relabel_configs"]
    assert hashing["modulus"] == stateful["replicas"]
    name = objects[-1]["metadata"]["name"]
    port = services[name]["ports"][0]["port"]
    assert addressing["replacement"] == f"{name}-$1.{stateful['serviceName']}:{port}" == REPLICA
    assert services[stateful["serviceName"]]["clusterIP"] == "None"
    assert f"{name}:{port}" == SERVICE


def test_kubernetes_knows_every_field_of_the_manifests() -> None:
    for manifest in yaml.safe_load_all((EXAMPLES / "kubernetes.yml").read_text()):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
