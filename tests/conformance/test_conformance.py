"""The public conformance suite scores through the gate what it scores without it (reference figures in `run.LEGS`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.yaml_source import load_positioned
from tests.conformance.everything_tools import TOOLS
from tests.conformance.gate import POLICY, everything, gate, gate_config
from tests.conformance.run import LEGS, SUITE_DIR, CannotRun, Leg, entry, find_node, run_leg

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def suite() -> Path:
    try:
        find_node()
    except CannotRun as why:
        pytest.skip(str(why))
    if not all(entry(SUITE_DIR, leg.release).exists() for leg in LEGS):
        pytest.skip("the conformance suite is not there: run `python -m tests.conformance.run --install`")
    return SUITE_DIR


@pytest.fixture(scope="module")
def direct() -> Iterator[str]:
    with everything() as url:
        yield url


@pytest.fixture(scope="module")
def gated(direct: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gate(tmp_path_factory.mktemp("gate"), direct) as url:
        yield url


@pytest.mark.parametrize("leg", LEGS, ids=lambda leg: leg.name)
def test_without_the_gate_the_server_scores_in_full(leg: Leg, suite: Path, direct: str) -> None:
    score = run_leg(leg, direct, suite)
    assert (score.figures, score.failures) == (leg.without_a_proxy, ())


@pytest.mark.parametrize("leg", LEGS, ids=lambda leg: leg.name)
def test_through_the_gate_it_scores_the_same(leg: Leg, suite: Path, gated: str) -> None:
    score = run_leg(leg, gated, suite)
    assert (score.figures, score.failures) == (leg.without_a_proxy, ())


def test_the_policy_allows_by_name_what_the_server_has_and_no_more() -> None:
    policy: Any = load_positioned(POLICY.read_text(encoding="utf-8"), POLICY.name)[0]
    tools, *_ = policy["rules"]
    named = {pattern.removeprefix("everything/") for pattern in tools["match"]["tools"]}
    assert named == {*TOOLS, "test_trigger_tool_change", "test_trigger_prompt_change", "test_dynamic_tool"}
    patterns = [pattern for rule in policy["rules"] for pattern in rule["match"]["tools"]]
    assert not [pattern for pattern in patterns if "*" in pattern]


def test_the_gates_configuration_loads(tmp_path: Path) -> None:
    from proxy.config_file import read

    config = read(gate_config(tmp_path, "http://127.0.0.1:9/mcp"), home=tmp_path, default_keys_dir=tmp_path / "other")
    assert (config.data_dir, config.keys_dir) == (tmp_path / "data", tmp_path / "keys")
    assert config.agents_listener.port == config.reviewers_listener.port == 0
