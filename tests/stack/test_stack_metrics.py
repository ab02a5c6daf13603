"""What the services count: read by the official parser, and by a real Prometheus with the configuration that is shipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack.common.metrics import REGISTRY
from stack.prepare import MONITORING, configuration
from tests.stack.servers import program, prometheus_server

# Seconds until a test gives up. Only a hang meets it.
GUARD = 60.0

DASHBOARDS = sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(service: Any) -> Samples:
    """Everything that a service counts: value by name and labels."""
    text = service.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, labels: dict[str, str]) -> float:
    """The sum of all series of a name that have these labels."""
    return sum(value for (its_name, its), value in found.items() if its_name == name and labels.items() <= dict(its).items())


def expressions(dashboard: Path) -> list[str]:
    """What a dashboard asks Prometheus for."""
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds: Prometheus tells nobody when it has asked."""
    deadline = time.monotonic() + GUARD
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_happens_is_counted(trio: Any) -> None:
    """A message, a model's answer and a cached one show up in the numbers of router and backend."""
    counted = {
        trio.router: [
            ("assistant_routes_total", {"agent": "chat"}, 1),
            ("assistant_classify_seconds_count", {}, 1),
            ("assistant_http_requests_total", {"status": "200", "method": "POST"}, 1),
        ],
        trio.backend: [
            ("assistant_ai_requests_total", {"task": "audit", "outcome": "ok"}, 1),
            ("assistant_ai_requests_total", {"task": "audit", "outcome": "cached"}, 1),
            ("assistant_ai_request_seconds_count", {"task": "audit"}, 1),
            ("assistant_ai_tokens_total", {"kind": "completion"}, 1),
            ("assistant_ai_quality_count", {"task": "audit"}, 1),
            ("assistant_cache_operations_total", {}, 2),
            ("assistant_database_operations_total", {"outcome": "ok"}, 0),
            ("assistant_database_operation_seconds_count", {}, 0),
        ],
    }
    before = {service: samples(service) for service in counted}
    trio.frontend.post("/api/assistant/chat", {"message": "hello"})
    question = {"task": "audit", "prompt": "What is counted?"}
    for _ in range(2):
        trio.frontend.post("/api/assistant/ask", question)
    for service, expected in counted.items():
        now = samples(service)
        for name, labels, least in expected:
            assert total(now, name, labels) >= total(before[service], name, labels) + least, name
            assert total(now, name, labels) > 0, name
    assert total(samples(trio.backend), "assistant_component_up", {"component": "database"}) == 1
    assert total(samples(trio.backend), "process_resident_memory_bytes", {}) > 1e6


@pytest.mark.parametrize("name", ["router", "backend"])
def test_what_clients_send_makes_no_series(trio: Any, name: str) -> None:
    """Unknown paths, methods and sessions are counted together: a client cannot make the numbers grow without end."""
    service = getattr(trio, name)

    def provoke(mark: str) -> None:
        service.get(f"/{mark}")
        httpx.request(f"X{mark}", service.url, timeout=GUARD)
        service.request("DELETE", f"/sessions/{mark}")

    provoke("first")
    samples(service)  # which is a series of its own
    before = samples(service).keys()
    for number in range(10):
        provoke(f"s{number}")
    assert samples(service).keys() == before


def test_the_configuration_follows_the_ports() -> None:
    """Every address of the shipped configuration is replaced, also by one that was another's; a token is sent when there is one."""
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    addresses = {
        "ROUTER_URL": "http://127.0.0.1:3002",
        "BACKEND_URL": "http://127.0.0.1:8888",
        "EXPORTER_URL": "http://127.0.0.1:1",
        "PROMETHEUS_URL": "http://127.0.0.1:2",
    }
    made = configuration(text, addresses, token=True)
    assert re.findall(r'targets: \["([^"]+)"\]', made) == ["127.0.0.1:3002", "127.0.0.1:8888", "127.0.0.1:1", "127.0.0.1:2"]
    assert made.count("    authorization: {credentials_file: metrics.token}") == 2
    assert "    authorization" not in configuration(text, addresses, token=False)


def test_the_configuration_and_its_rules_are_valid(tmp_path: Path) -> None:
    """Prometheus's own checker has nothing to say, with and without a token."""
    shutil.copy(MONITORING / "rules.yml", tmp_path)
    (tmp_path / "metrics.token").touch()
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    for token in (False, True):
        (tmp_path / "prometheus.yml").write_text(configuration(text, {}, token=token).replace("<", '"').replace(">", '"'))
        command = [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prometheus(trio: Any) -> Iterator[str]:
    """A real Prometheus that asks the trio often; its address."""
    addresses = {
        "ROUTER_URL": trio.router.url,
        "BACKEND_URL": trio.backend.url,
        "EXPORTER_URL": trio.frontend.url,
        "PROMETHEUS_URL": trio.frontend.url,
    }
    text = configuration((MONITORING / "prometheus.yml").read_text(encoding="utf-8"), addresses, token=False)
    text = text.replace("scrape_interval: 5s", "scrape_interval: 250ms").replace("scrape_timeout: 4s", "scrape_timeout: 250ms")
    with prometheus_server(text.replace("rule_files: [rules.yml]", f"rule_files: [{MONITORING / 'rules.yml'}]")) as server:
        yield server.url


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers to an expression."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}, timeout=GUARD, trust_env=False).json()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def test_prometheus_reads_the_services(trio: Any, prometheus: str) -> None:
    """Router and backend are up for a real Prometheus, and what they counted can be asked for there."""
    trio.frontend.post("/api/assistant/chat", {"message": "hello"})
    until(lambda: {row["metric"]["job"] for row in query(prometheus, "up == 1")} >= {"router", "backend"})
    until(lambda: bool(query(prometheus, 'assistant_routes_total{agent="chat"} > 0')))
    rules = httpx.get(f"{prometheus}/api/v1/rules", timeout=GUARD, trust_env=False).json()["data"]["groups"][0]["rules"]
    assert [rule["health"] for rule in rules if rule["health"] == "err"] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_what_there_is(prometheus: str, dashboard: Path) -> None:
    """Every expression of a dashboard is one that Prometheus understands, about metrics that are exposed under that name."""
    ours = {sample for family in REGISTRY.collect() for sample in _names(family.name, family.type)}
    theirs = set(
        re.findall(r'"(ready|restarts_total|cpu_ratio|memory_bytes|processes|startup_seconds|health_failures)"', _devctl())
    )
    known = ours | {f"devctl_service_{name}" for name in theirs} | {"devctl_service_state", "up"}
    asked = expressions(dashboard)
    assert asked
    for expression in asked:
        query(prometheus, expression)
        names = set(re.findall(r"\b(?:assistant_\w+|devctl_\w+|up)\b", expression))
        assert names, expression
        assert names <= known, expression


def _names(family: str, kind: str) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    return [family + suffix for suffix in suffixes]


def _devctl() -> str:
    """The source of devctl's own metrics: what it exposes needs a running stack to be seen, which test_stack_verify has."""
    return (MONITORING.parent / "devctl" / "control" / "metrics.py").read_text(encoding="utf-8")


def test_the_dashboards_are_found_by_grafana() -> None:
    """Every dashboard has an id of its own and asks the datasource that is provisioned."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS]
    assert [board["uid"] for board in boards] == [path.stem for path in DASHBOARDS]
    datasource = (MONITORING / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        used = {panel["datasource"]["uid"] for panel in board["panels"] if panel["type"] != "row"}
        assert [f"uid: {uid}" in datasource for uid in used] == [True]


def test_devctl_is_read_through_the_exporter(tmp_path: Path) -> None:
    """Under devctl the exporter hands on devctl's own numbers, and nothing else of it."""
    project = Path(__file__).parents[2]
    manifest = {
        "name": "measured",
        "services": {
            "exporter": {
                "command": [sys.executable, "-m", "stack.exporter"],
                "working_dir": str(project),
                "port": "auto",
                "healthcheck": {"http": "http://127.0.0.1:${services.exporter.port}/health"},
            }
        },
    }
    (tmp_path / "services.yaml").write_text(json.dumps(manifest))
    with tempfile.TemporaryDirectory(prefix="dc") as runtime:
        devctl = Path(sys.executable).with_name("devctl")

        def run(*arguments: str) -> str:
            environment = os.environ | {"DEVCTL_RUNTIME_DIR": runtime, "NO_COLOR": "1"}
            return subprocess.run(
                [devctl, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=GUARD, check=True
            ).stdout

        run("up", "--detach")
        try:
            url = json.loads(run("status", "--json"))["services"][0]["url"]
            answer = httpx.get(f"{url}/metrics", timeout=GUARD, trust_env=False)
            families = {family.name for family in text_string_to_metric_families(answer.text)}
            assert "devctl_service_ready" in families
            assert 'stack="measured"' in answer.text
            assert httpx.get(f"{url}/v1/status", timeout=GUARD, trust_env=False).status_code == 404
        finally:
            run("down")
