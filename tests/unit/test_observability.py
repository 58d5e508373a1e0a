"""`deploy/observability`: alerts and dashboard ask for what services offer, and promtool takes them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/observability"
METRIC = re.compile(r"\b(?:bridge|process)_[a-z_]+")
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
QUERIES += [one["definition"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]

PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="apt-get install prometheus (promtool)")


@pytest.fixture(scope="module")
def offered():
    sources = (ROOT / "common/device_bridge").rglob("*.py")
    return {
        name
        for file in sources
        for name in re.findall(r'Metric\(\s*"([a-z_]+)"|"(bridge_[a-z_]+)"', file.read_text())
    }


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in ALERTS)])
def test_each_query_asks_for_metrics_that_services_offer(query, offered):
    known = {name for pair in offered for name in pair}
    asked = set(METRIC.findall(query))
    assert asked <= known
    assert asked or query.startswith("up{")


def test_each_alert_says_what_is_wrong_and_what_helps():
    for rule in ALERTS:
        assert set(rule["annotations"]) == {"summary", "remedy"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_of_the_dashboard_do_not_overlap():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_alerts_come_when_they_must():
    promtool("check", "config", "prometheus.yaml")
    promtool("test", "rules", "alerts.test.yaml")


@needs_promtool
def test_the_dashboards_queries_are_queries(tmp_path):
    queries = [query.replace("$__rate_interval", "5m") for query in QUERIES if not query.startswith("label_values(")]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yaml"))
