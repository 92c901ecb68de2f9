"""How well `sim.navmesh` agrees with recorded Habitat scenes (folders with scene.glb, geodesic.json, rollouts.json): a table on stdout.

    python -m benchmarks.navmesh_agreement ../shared/golden/habitat/s1 ../shared/golden/habitat/s2

`--houses N` adds what N generated houses cost: milliseconds to load, to prepare a goal, and per query.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sim.env import COLLISION_MARGIN_M2, FORWARD_M
from sim.houses.generator import generate_house
from sim.navmesh import NavMesh

TURN_RAD = math.radians(15)


def numbers(values: list) -> np.ndarray:
    """Recorded points, in which "nan" and "inf" are strings, as floats."""
    return np.array([float(value) for value in values])


def geodesics(mesh: NavMesh, golden: dict) -> dict[str, float]:
    """Main-floor pairs: shares and metres against Habitat's length and against the exact shortest path on its navmesh."""
    pairs = [pair for pair in golden["pairs"] if pair["kind"] == "main_floor" and pair["found"]]
    ours = np.array([mesh.geodesic(numbers(pair["start"]), numbers(pair["end"])) for pair in pairs])
    theirs = np.array([pair["geodesic"] for pair in pairs])
    exact = np.array([pair["geodesic_exact_on_navmesh"] for pair in pairs])
    search = np.array([mesh.habitat_geodesic(numbers(pair["start"]), numbers(pair["end"])) for pair in pairs])
    off, off_exact = np.abs(ours - theirs), np.abs(ours - exact)
    found = [math.isfinite(mesh.geodesic(numbers(pair["start"]), numbers(pair["end"]))) == pair["found"] for pair in golden["pairs"]]
    return {
        "pairs": len(pairs),
        "within 5 cm %": 100 * np.mean(off < 0.05),
        "median cm": 100 * np.median(off),
        "max cm": 100 * off.max(),
        "beyond 5 cm": int((off >= 0.05).sum()),
        ".. by fact 6": int(((off >= 0.05) & (off_exact < 0.05)).sum()),
        "exact within 5 cm %": 100 * np.mean(off_exact < 0.05),
        "exact median cm": 100 * np.median(off_exact),
        "exact max cm": 100 * off_exact.max(),
        "exact bias cm": 100 * np.mean(ours - exact),
        "Habitat's search within 1 mm %": 100 * np.mean(np.abs(search - theirs) < 0.001),
        "Habitat's search max cm": 100 * np.abs(search - theirs).max(),
        "reachable alike, all pairs %": 100 * np.mean(found),
    }


def points(mesh: NavMesh, golden: dict) -> dict[str, float]:
    """Navigability and snapping of the recorded points."""
    entries = golden["points"]
    same = [mesh.is_navigable(numbers(entry["point"])) == entry["is_navigable"] for entry in entries]
    low = [mesh.is_navigable(numbers(entry["point"]), 0.1) == entry["is_navigable_max_y_delta_0_1"] for entry in entries]
    off = np.array([np.linalg.norm(mesh.snap(numbers(entry["point"])) - numbers(entry["snap_point"])) for entry in entries])
    return {
        "navigable alike %": 100 * np.mean(same),
        "navigable at 0.1 m alike %": 100 * np.mean(low),
        "snapped within 1 mm %": 100 * np.mean(off < 0.001),
        "snapped within 5 cm %": 100 * np.mean(off < 0.05),
    }


def recorded_steps(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, bool]]:
    """Forward steps of the rollouts with sliding: start, target, where Habitat's agent came out, whether it collided."""
    for rollout in json.loads((folder / "rollouts.json").read_text())["rollouts"]:
        if not rollout["allow_sliding"]:
            continue
        positions, yaw = [rollout["start_position"], *rollout["positions"]], rollout["start_yaw_rad"]
        for index, action in enumerate(rollout["actions"]):
            yaw += TURN_RAD * ((action == 2) - (action == 3))
            if action == 1:
                before = np.array(positions[index])
                target = before + FORWARD_M * np.array([-math.sin(yaw), 0, -math.cos(yaw)])
                yield before, target, np.array(positions[index + 1]), bool(rollout["collided"][index])


def steps(mesh, golden: dict, folder: Path) -> dict[str, float]:
    """Each recorded step and probe, from its recorded pose."""
    off, same = [], []
    for before, target, theirs, collided in recorded_steps(folder):
        after = mesh.try_step(before, target)
        off.append(np.linalg.norm(after - theirs))
        same.append((np.sum((after - before) ** 2) + COLLISION_MARGIN_M2 < FORWARD_M**2) == collided)
    probes = np.array(
        [
            np.linalg.norm(mesh.try_step(numbers(probe["start"]), numbers(probe["end"])) - numbers(probe["try_step"]))
            for probe in golden["step_probes"]
        ]
    )
    off = np.array(off)
    return {
        "steps": len(off),
        "steps within 1 mm %": 100 * np.mean(off < 0.001),
        "steps within 5 cm %": 100 * np.mean(off < 0.05),
        "worst step cm": 100 * off.max(),
        "flags alike %": 100 * np.mean(same),
        "probes within 1 mm %": 100 * np.mean(probes < 0.001),
        "probes within 5 cm %": 100 * np.mean(probes < 0.05),
    }


def costs(name: str) -> dict[str, float]:
    """Milliseconds of what training and evaluation do with a generated house."""
    soup, rng = generate_house(name).triangle_soup, np.random.default_rng(0)
    clock = time.process_time
    before = clock()
    mesh = NavMesh.from_triangles(soup)
    loaded = clock() - before
    somewhere = [mesh.random_point(rng) for _ in range(300)]
    before = clock()
    mesh.distances_to(somewhere[0])
    first = clock() - before
    before = clock()
    fields = [mesh.distances_to(point) for point in somewhere[:20]]
    goal = (clock() - before) / 20
    before = clock()
    for point in somewhere:
        fields[0].distance(point)
    distance = (clock() - before) / 300
    before = clock()
    for index, point in enumerate(somewhere):
        angle = 0.1 * index
        mesh.try_step(point, point + FORWARD_M * np.array([math.cos(angle), 0, math.sin(angle)]))
    step = (clock() - before) / 300
    before = clock()
    for point in somewhere:
        mesh.snap(point)
    snap = (clock() - before) / 300
    figures = {"load": loaded, "first goal": first, "goal": goal, "distance": distance, "step": step, "snap": snap}
    return {f"{key} ms": 1000 * value for key, value in figures.items()}


def table(columns: dict[str, dict[str, float]]) -> str:
    """Markdown: a column per scene, a row per figure."""
    rows = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for row in rows:
        cells = (columns[name].get(row) for name in columns)
        lines.append(f"| {row} | " + " | ".join("" if cell is None else f"{cell:.4g}" for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", type=Path)
    parser.add_argument("--houses", type=int, default=0)
    options = parser.parse_args()
    columns = {}
    for folder in options.scenes:
        mesh, golden = NavMesh.from_glb(folder / "scene.glb"), json.loads((folder / "geodesic.json").read_text())
        columns[folder.name] = geodesics(mesh, golden) | points(mesh, golden) | steps(mesh, golden, folder)
    if columns:
        print(table(columns))  # noqa: T201
    if options.houses:
        print(table({name: costs(name) for name in (f"val_unseen_{number:04d}" for number in range(options.houses))}))  # noqa: T201


if __name__ == "__main__":
    main()
