"""The overlay for Google's Model Explorer, against its package where that is installed."""

import dataclasses
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_tfparity.reports.model_explorer import overlay, write_overlays
from reports.results import failing, passing


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``model_explorer.node_data_builder`` alone: the package itself loads a web server."""
    found = importlib.util.find_spec("model_explorer")
    if found is None or not found.submodule_search_locations:
        pytest.skip("ai-edge-model-explorer is not installed")
    hollow = ModuleType("model_explorer")
    hollow.__path__ = list(found.submodule_search_locations)
    monkeypatch.setitem(sys.modules, "model_explorer", hollow)
    return importlib.import_module("model_explorer.node_data_builder")


def test_each_node_has_its_difference_and_culprits_are_red() -> None:
    content = overlay(failing(nodes=30))
    assert content is not None
    graph = content["main"]
    assert graph["name"] == "tfparity: net"
    assert list(graph["results"]) == [str(2 * index) for index in range(30)]
    assert graph["results"]["0"] == {"value": 0.0}
    assert graph["results"]["30"]["bgColor"] == "#c62828"
    assert graph["results"]["58"]["value"] == "not comparable"
    assert [item["stop"] for item in graph["gradient"]] == [0, 1]


def test_only_checks_that_were_measured_have_a_file_and_names_never_clash(tmp_path: Path) -> None:
    other = replace(failing("a/net"), nodeid="b.yaml::a/net")
    results = [failing(), passing(), replace(failing(), nodeid="z.yaml::net"), other]
    paths = write_overlays(tmp_path, results)
    assert [path.name for path in paths] == ["a_net.json", "net.json", "net-2.json"]
    assert write_overlays(tmp_path, [passing()]) == []
    assert list((tmp_path / "model_explorer").iterdir()) == []


def test_a_report_of_an_earlier_version_has_no_overlay() -> None:
    entry = failing().to_json()
    for node in entry["details"]["nodes"]:
        del node["position"]
    assert overlay(type(failing()).from_json(entry)) is None


def test_the_overlay_is_what_the_package_itself_would_write(builder: Any, tmp_path: Path) -> None:
    (path,) = write_overlays(tmp_path, [failing()])
    content = json.loads(path.read_text())
    graphs = {}
    for name, graph in content.items():
        known = {field.name for field in dataclasses.fields(builder.GraphNodeData)}
        assert set(graph) <= known
        graphs[name] = builder.GraphNodeData(
            results={node: builder.NodeDataResult(**value) for node, value in graph["results"].items()},
            name=graph["name"],
            gradient=[builder.GradientItem(**item) for item in graph["gradient"]],
        )
    written = json.loads(builder.ModelNodeData(graphsData=graphs).to_json_string())
    assert {key: written["main"][key] for key in content["main"]} == content["main"]
