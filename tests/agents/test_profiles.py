"""Named agents in the loop: what becomes of answers that are no action, of queues, and of hopeless episodes."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.events import Decided, Ended, Event, Executed
from agents.guard import SIMULATION, GuardLimits
from agents.loop import Loop, LoopConfig
from agents.main import run_agent
from agents.profiles import ForcedStop, Instead, loop_config
from agents.protocols import Motion
from agents.robots.dry_run import DryRun
from nvila_edge.navigation.actions import Action, Forward, Primitive, Stop, Turn
from nvila_edge.navigation.agent_profiles import AGENTS, PrivilegedStop
from tests.agents.support import PoseCamera, Script
from tests.nvila_edge.pixel_engine import start_pixel_server

AHEAD, LEFT, RIGHT, STOP = Primitive.FORWARD, Primitive.LEFT, Primitive.RIGHT, Primitive.STOP


def follow(agent: str, *answers: Action | None, **loop) -> tuple[Ended, list[Primitive], list[Event]]:
    robot = DryRun(turn_deg=AGENTS[agent].steps.turn_deg)
    policy, camera = Instead(Script(answers), AGENTS[agent], seed=0), PoseCamera(robot)
    config = loop_config(AGENTS[agent], SIMULATION, 0.0)
    plain = AGENTS[agent].unparsable in ("ask-again", "crash")
    events = list(Loop(Script(answers) if plain else policy, camera, robot, config=config, **loop).run("go", "e"))
    assert isinstance(events[-1], Ended)
    return events[-1], [begun.primitive for begun in robot.begun], events


def test_ours_holds_asks_once_more_and_then_stops_and_counts() -> None:
    ended, moved, _ = follow("ours", Forward(25), None, Turn(15), None, None)
    assert moved == [AHEAD, LEFT] and (ended.reason, ended.rejections, ended.decisions, ended.fault) == ("rejected", 3, 5, False)


def test_navila_dies_of_the_first_answer_that_is_no_action_and_it_is_counted() -> None:
    ended, moved, _ = follow("navila", Forward(25), None, Forward(25))
    assert moved == [AHEAD]
    assert (ended.reason, ended.rejections, ended.decisions, ended.fault) == ("crashed", 1, 2, False) and "'as told'" in ended.message


def test_navila_does_whatever_amount_it_is_told_to_the_step_limit() -> None:
    ended, moved, events = follow("navila", Forward(100), Turn(-90), Forward(100_000))
    assert moved == [AHEAD] * 4 + [RIGHT] * 6 + [AHEAD] * 490 and (ended.reason, ended.primitives) == ("limit", 500)
    robot = DryRun()
    on_robot = loop_config(AGENTS["navila"], GuardLimits(), 1.0)
    list(Loop(Script([Forward(100_000), Stop()]), PoseCamera(robot), robot, config=on_robot).run("go", "e"))
    assert len(robot.begun) == 5  # the guard's 100 cm hold on a robot, whatever the agent


def test_navila_bench_goes_ahead_where_it_understands_nothing() -> None:
    ended, moved, events = follow("navila-bench", None, Turn(30), None, None, Stop())
    assert moved == [AHEAD, LEFT, LEFT, AHEAD, AHEAD, STOP] and (ended.reason, ended.rejections) == ("stop", 3)
    decided = [event.decision for event in events if isinstance(event, Decided)]
    assert [decision.instead for decision in decided] == [True, False, True, True, False] and decided[0].text == "as told"


def test_navid_draws_one_primitive_where_it_understands_nothing_by_seed_and_episode() -> None:
    def draws(seed: int, episode_id: str) -> list[Action | None]:
        policy = Instead(Script([None] * 300), AGENTS["navid"], seed)
        policy.reset("go", episode_id)
        return [policy.decide().action for _ in range(300)]

    first = draws(0, "7")
    assert first == draws(0, "7") and first != draws(0, "8") and first != draws(1, "7")
    counts = Counter(first)
    assert set(counts) == {Forward(25), Turn(30), Turn(-30)} and min(counts.values()) > 70
    ended, moved, events = follow("navid", Turn(90), None, Stop())
    assert moved[:3] == [LEFT] * 3 and len(moved) == 5 and ended.rejections == 1
    turned = [event.motion.turned_deg for event in events if isinstance(event, Executed)][:3]
    assert turned == [30.0] * 3


def test_navid_carries_out_three_primitives_of_an_action_at_most() -> None:
    _, moved, _ = follow("navid", Forward(500), Turn(-180), Stop())
    assert moved == [AHEAD] * 3 + [RIGHT] * 3 + [STOP]


def test_a_hopeless_episode_is_stopped_after_401_steps_also_within_an_action() -> None:
    rule = AGENTS["navid"].privileged_stop
    assert rule is not None
    ended, moved, _ = follow("navid", *[Forward(75)] * 200, forced=ForcedStop(rule))
    assert (ended.reason, ended.message, ended.fault) == ("forced", "more than 400 steps", False)
    assert moved == [AHEAD] * 401 + [STOP]  # the counter is looked at before it is raised: step 402 is the first beyond 400


def test_a_hopeless_episode_is_stopped_when_the_privileged_distance_stays_the_same_for_26_steps() -> None:
    distances = iter([5.0, 4.0, *[4.0] * 20, 3.0, *[3.0] * 60])
    ended, moved, _ = follow("navid", *[Turn(30)] * 200, forced=ForcedStop(PrivilegedStop(), lambda: next(distances)))
    assert (ended.reason, ended.message) == ("forced", "no change of the distance to the goal in 26 steps")
    assert moved == [LEFT] * 48 + [STOP]  # 22 looks until the 3.0, which is the 23rd; 26 more
    unreachable = ForcedStop(PrivilegedStop(), lambda: math.inf)
    assert [bool(unreachable()) for _ in range(28)] == [False] * 26 + [True] * 2
    ended, _, _ = follow("navid", Stop(), forced=ForcedStop(PrivilegedStop(after_steps=-1)))
    assert ended.reason == "stop"  # the policy's own


def test_a_leaking_queue_runs_first_in_the_next_episode_and_others_are_cleared() -> None:
    for leaks, expected in ((True, [AHEAD, AHEAD, LEFT, STOP]), (False, [LEFT, STOP])):
        robot, script = DryRun(), Script([Forward(75), Turn(15), Stop()])
        loop = Loop(script, PoseCamera(robot), robot, config=LoopConfig(max_primitives=1, leaks_queue=leaks))
        assert list(loop.run("go", "1"))[-1] == Ended("limit", "1 primitives", 1, 1, 0)
        again = Loop(script, PoseCamera(robot), robot, config=LoopConfig(leaks_queue=leaks))
        again.left = loop.left
        events = list(again.run("go", "2"))
        assert [begun.primitive for begun in robot.begun][1:] == expected
        assert [event.n for event in events if isinstance(event, Executed)] == [*[-1] * (len(expected) - 2), 0, 1]
        assert again.left is None


class Walled(DryRun):
    """Its forward steps meet a wall."""

    def execute(self, primitive: Primitive) -> Motion:
        motion = super().execute(primitive)
        return Motion(0.0, 0.0, True) if primitive == AHEAD else motion


def test_the_published_agents_push_on_where_ours_looks_again() -> None:
    for agent, expected in (("ours", [AHEAD, STOP]), ("navila", [AHEAD] * 3 + [STOP]), ("navid", [AHEAD] * 3 + [STOP])):
        robot = Walled()
        config = loop_config(AGENTS[agent], SIMULATION, 0.0)
        list(Loop(Script([Forward(75), Stop()]), PoseCamera(robot), robot, config=config).run("go", "e"))
        assert [begun.primitive for begun in robot.begun] == expected


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), np.full((24, 32, 3), 20 * number, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("agent", "says", "reason", "rejected"),
    [
        ("navila", "The next action is move forward 100 cm.", "over", 0),
        ("navila", "I am a banana.", "crashed", 1),
        ("ours-text", "I am a banana.", "rejected", 2),
        ("navila-bench", "I am a banana.", "over", "all"),
        ("navid", "The next action is turn left 15 degree.", "over", "all"),
        ("navila", "Not here: stop, I think.", "stop", 0),
    ],
)
def test_the_same_text_of_a_real_server_is_each_agents_own_affair(
    images: Path, agent: str, says: str, reason: str, rejected: int | str
) -> None:
    with start_pixel_server("navila") as server:
        end = run_agent(server.address, images, f"say {says}", profile=agent, on_event=lambda _: None)
    assert end.reason == reason and end.rejections == (end.decisions if rejected == "all" else rejected) and end.decisions > 0
    assert (end.primitives > 0) == (reason in ("over", "stop"))


def test_an_agent_that_does_not_exist_or_fit_is_refused_before_anything_moves(images: Path) -> None:
    with start_pixel_server("stream") as server:
        with pytest.raises(ValueError, match="did you mean 'navid'"):
            run_agent(server.address, images, "go", profile="navit", on_event=lambda _: None)
        with pytest.raises(ValueError, match="this model was made for 'stream'"):
            run_agent(server.address, images, "go", profile="navila", on_event=lambda _: None)
    with start_pixel_server("navila") as server, pytest.raises(ValueError, match="for evaluations only"):
        run_agent(server.address, images, "go", profile="navila-leak", on_event=lambda _: None)
