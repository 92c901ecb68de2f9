"""The named agents: what was published of each, and what is said of names that do not exist."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from nvila_edge.navigation.actions import SENTENCES, Forward, Primitive, Steps, Stop, Turn, primitives
from nvila_edge.navigation.agent_profiles import AGENTS, agent_profile, check_prompt
from nvila_edge.navigation.parser import PARSERS


def test_every_agent_is_a_whole_configuration_that_json_can_hold() -> None:
    assert set(AGENTS) == {"ours", "ours-text", "navila", "navila-leak", "navila-bench", "navid"}
    for name, agent in AGENTS.items():
        assert agent.name == name and json.loads(json.dumps(asdict(agent)))["steps"]["turn_deg"] == agent.steps.turn_deg
        assert agent.guided or agent.reads in PARSERS
        assert (agent.camera.hfov_deg, agent.camera.height_m, agent.max_steps) == (90.0, 1.25, 500)
        assert SENTENCES[0] in agent.expects


def test_the_published_agents_are_as_their_programs_are() -> None:
    navila, navid = AGENTS["navila"], AGENTS["navid"]
    assert (navila.camera.width_px, navila.camera.height_px) == (512, 512) and (navid.camera.width_px, navid.camera.height_px) == (640, 480)
    assert (navila.steps, navid.steps) == (Steps(15, None), Steps(30, 3))
    assert (navila.max_new_tokens, navila.instruction, navila.unparsable) == (32, "raw", "crash")
    assert navid.privileged_stop is not None and asdict(navid.privileged_stop) == {"after_steps": 400, "still_steps": 25}
    assert [agent.name for agent in AGENTS.values() if agent.leaks_queue] == ["navila-leak"]
    assert AGENTS["ours"].guided and not AGENTS["ours"].prompt and AGENTS["ours"].unparsable == "ask-again"


def test_a_name_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown agent 'navlia' .did you mean 'navila'.*; known: ours, ours-text, navila,"):
        agent_profile("navlia")


def test_an_agent_asks_only_models_of_its_prompt() -> None:
    check_prompt(AGENTS["ours"], "stream")
    check_prompt(AGENTS["navila"], "navila")
    with pytest.raises(ValueError, match="'navid' asks with the 'navila' prompt, this model was made for 'stream'.*the agent 'ours'"):
        check_prompt(AGENTS["navid"], "stream")


@pytest.mark.parametrize(
    ("action", "steps", "expected"),
    [
        (Forward(100), AGENTS["navila"].steps, [Primitive.FORWARD] * 4),
        (Turn(-90), AGENTS["navila"].steps, [Primitive.RIGHT] * 6),
        (Turn(90), AGENTS["navid"].steps, [Primitive.LEFT] * 3),
        (Turn(-180), AGENTS["navid"].steps, [Primitive.RIGHT] * 3),
        (Forward(200), AGENTS["navid"].steps, [Primitive.FORWARD] * 3),
        (Forward(75), AGENTS["ours"].steps, [Primitive.FORWARD] * 3),
        (Stop(), AGENTS["navid"].steps, [Primitive.STOP]),
    ],
)
def test_amounts_become_primitives_by_the_agents_steps(action, steps: Steps, expected: list[Primitive]) -> None:
    assert list(primitives(action, steps)) == expected
