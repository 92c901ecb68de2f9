"""The policies without a model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.protocols import Motion
from nvila_edge.navigation.actions import ACTIONS, Action, Forward, Primitive, Stop, Turn, primitives
from sim.episodes import GroundTruth
from sim.policies import ForwardPolicy, OraclePolicy, RandomPolicy, expert_histogram, histogram, median_steps, merged

STEP = Motion(0.25, 0.0, False)


def roll(policy, episode_id: str = "7") -> list[Primitive]:
    """The primitives of one episode."""
    policy.reset("go on", episode_id)
    done: list[Primitive] = []
    while not done or done[-1] != Primitive.STOP:
        action = policy.decide().action
        for primitive in primitives(action):
            done.append(primitive)
            policy.executed(action, primitive, STEP)
    return done


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=40))
def test_merging_keeps_the_primitives_and_uses_only_the_ten_actions(steps: list[int]) -> None:
    actions = merged([*steps, 0])
    assert [int(p) for action in actions for p in primitives(action)] == [*steps, 0]
    assert set(actions) <= set(ACTIONS)


def test_merging_takes_the_largest_actions_first() -> None:
    assert merged([1, 1, 1, 1, 2, 2, 3, 0]) == [Forward(75), Forward(25), Turn(30), Turn(-15), Stop()]


def test_histogram_counts_merged_actions_of_all_ways() -> None:
    truths = [GroundTruth((1, 1, 1, 0), ()), GroundTruth((2, 1, 1, 1, 0), ())]
    counts = dict(zip(ACTIONS, expert_histogram(truths), strict=True))
    assert counts[Forward(75)] == 2 and counts[Turn(15)] == 1 and counts[Stop()] == 2 and sum(counts.values()) == 5


def test_histogram_leaves_rejections_out() -> None:
    assert sum(histogram([None, Forward(25), Forward(100)])) == 1


def test_forward_stops_at_the_median_step_count() -> None:
    stop_after = median_steps([GroundTruth((1,) * n + (0,), ()) for n in (4, 9, 30)])
    assert roll(ForwardPolicy(stop_after)) == [Primitive.FORWARD] * 9 + [Primitive.STOP]


def test_random_stops_at_the_median_step_count_and_repeats_for_a_seed() -> None:
    counts = [5, 1, 2, 3, 1, 1, 1, 1, 1, 1]
    runs = [roll(RandomPolicy(counts, 40, seed), episode) for seed, episode in ((0, "1"), (0, "1"), (0, "2"), (1, "1"))]
    assert [len(run) for run in runs] == [40] * 4
    assert runs[0] == runs[1] and runs[0] != runs[2] and runs[0] != runs[3]


def test_random_draws_as_often_as_the_expert() -> None:
    counts = [9, 0, 0, 6, 0, 0, 2, 0, 0, 2]
    drawn: list[Action | None] = []
    policy = RandomPolicy(counts, 10_000, 0)
    policy.reset("go", "1")
    drawn = [policy.decide().action for _ in range(3000)]
    shares = [count / 3000 for count in histogram(drawn)]
    assert abs(shares[3] - 0.6) < 0.03 and abs(shares[6] - 0.2) < 0.03 and shares[0] == 0


def test_oracle_says_what_the_expert_says() -> None:
    answers = iter([Turn(45), Stop()])
    policy = OraclePolicy(lambda: next(answers))
    assert [policy.decide().action for _ in range(2)] == [Turn(45), Stop()]
