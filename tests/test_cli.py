"""The command line: every verb has help with an example that it accepts; mistakes are named, without a traceback."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.events import Ended
from export.calibration import Calibration
from export.exporter import export_bundle
from nvila_edge import cli, doctor
from nvila_edge.serving.process import start_server
from nvila_edge.shipped import BUNDLE
from tests.nvila_edge.pixel_engine import start_pixel_server
from tests.tiny import save_tiny_checkpoint

PROMISED = "demo serve agent eval report chat export verify bench train data replay doctor".split()  # DESIGN.md


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as a user runs it."""
    command = [sys.executable, "-m", "nvila_edge.cli", *arguments]
    root = Path(__file__).parents[1]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env=os.environ | environment, timeout=100)


def test_all_promised_verbs_are_there() -> None:
    assert {name.split()[0] for name in cli.VERBS} == set(PROMISED)


@pytest.mark.parametrize("name", list(cli.VERBS))
def test_a_verbs_help_shows_its_options_and_an_example_that_it_accepts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse([*name.split(), "--help"])
    shown = capsys.readouterr().out
    example = cli.VERBS[name].example
    assert ended.value.code in (0, None) and "example:" in shown and example.split("--")[0].strip() in shown
    words = shlex.split(example)
    assert words[: 1 + len(name.split())] == ["nvila-edge", *name.split()]
    assert isinstance(cli.parse(words[1:]), cli.VERBS[name])


def test_help_and_no_arguments_list_the_verbs() -> None:
    for arguments in ((), ("--help",)):
        done = run(*arguments)
        assert done.returncode == 0 and all(verb in done.stdout for verb in PROMISED)


def test_help_of_a_group_lists_its_verbs() -> None:
    done = run("data", "--help")
    assert done.returncode == 0 and "nvila-edge data houses" in done.stdout and "example:" in done.stdout and "demo" not in done.stdout


def test_an_unknown_verb_is_named() -> None:
    done = run("fly")
    assert done.returncode == 2 and "unknown verb 'fly'" in done.stderr


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("nvila-edge 0.")


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    heavy = ("torch", "sim", "agents", "export", "onnxruntime", "numpy")
    code = f"import sys; import nvila_edge.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == "[]"


def test_mistakes_are_one_line_with_the_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (("eval", "--policy", "oracle", "--dataset", str(tmp_path), "--out", str(tmp_path / "o")), "no split 'val_unseen'"),
        (("report", str(tmp_path)), "holds no results.jsonl"),
        (("train", "builtn"), "did you mean 'builtin'"),
        (("verify", str(tmp_path), "--against", str(tmp_path), "--recordings", str(tmp_path)), "record"),
        (("serve", "--bundle", str(tmp_path), "--bind", "tcp://127.0.0.1:*"), "is not a bundle"),
        (("data", "houses", "--out", str(tmp_path), "--houses", "3", "--episodes", "2"), "at least one episode in each"),
    ):
        status, said = cli.main(arguments), capsys.readouterr().err
        assert status == 2 and said.startswith("error: ") and message in said and said.count("\n") == 1, said


def test_a_full_disk_is_no_mistake_of_the_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(self: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(cli.VERBS["report"], "run", full)
    assert cli.main(("report", str(tmp_path))) == 1


def test_an_unknown_verb_is_named_whole_with_what_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (("data", "houzes"), "unknown verb 'data houzes' (did you mean 'data houses'?)"),
        (("evl",), "'evl' (did you mean 'eval'?)"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2 and said in capsys.readouterr().err


def test_a_machine_without_egl_is_told_what_to_install() -> None:
    done = run("doctor", __EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "EGL" in line)
    assert line.startswith("FAIL") and "apt-get install" in line


def test_what_is_not_installed_is_optional_with_how_to_have_it_and_what_is_broken_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    def broken() -> str:
        raise ImportError("libEGL.so.1: cannot open shared object file")

    def needs_houses() -> str:
        import moderngl

        return moderngl.__version__

    monkeypatch.setattr(doctor, "version", absent)
    for name in ("onnx", "moderngl", "msgpack"):
        monkeypatch.setitem(sys.modules, name, None)
    more = [doctor.Check("broken", broken), doctor.Check("rendering", needs_houses)]
    found = {finding.name.removeprefix("package ").split(" ")[0]: finding for finding in doctor.checks(Path("nowhere"), more)}
    states = {name: finding.state for name, finding in found.items()}
    assert states | {"torch": "optional", "onnx": "optional", "rendering": "optional", "zmq": "ok", "Python": "ok"} == states
    assert states | {"msgpack": "FAIL", "broken": "FAIL", "built-in": "FAIL"} == states
    assert found["torch"].text == 'torch is not installed; to have it: pip install "nvila-edge[train]"'


def test_doctor_without_the_optional_parts_ends_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [doctor.Finding("a", doctor.OK, "fine"), doctor.Finding("b", doctor.OPTIONAL, "not installed")]
    monkeypatch.setattr(doctor, "checks", lambda *_: findings)
    assert cli.main(["doctor"]) == 0 and "optional  b: not installed" in capsys.readouterr().out


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "export.bench", None)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["bench", "nowhere"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(cli.VERBS["bench"], "run", lambda _: __import__("onnxruntime"))
    assert cli.main(["bench", "nowhere"]) == 1
    assert 'pip install "nvila-edge[cpu]"' in capsys.readouterr().err


def test_the_readmes_agent_command_ends_well_when_the_recording_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 32, 3), 60 * number, np.uint8))
    with start_pixel_server() as server:
        options = ("--camera", str(tmp_path), "--robot", "dry-run", "--instruction", "Walk to the door and stop.")
        assert cli.main(["agent", "--server", server.address, *options]) == 0
    assert "ended: over after 4 steps" in capsys.readouterr().out


def test_a_dry_run_moves_nothing_whatever_the_robot_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run_agent(*_: object, robot: str, **__: object) -> Ended:
        asked.append(robot)
        return Ended("stop", "", 0, 0, 0)

    monkeypatch.setattr("agents.main.run_agent", run_agent)
    for dry_run in (True, False):
        agent = cli.VERBS["agent"]("tcp://127.0.0.1:5555", Path("frames"), "go", robot="wheels", dry_run=dry_run)  # pyright: ignore[reportArgumentType]
        agent.run()
    assert asked == ["dry-run", "wheels"]


def test_a_server_says_what_runs_its_model_and_refuses_threads_that_are_not_there() -> None:
    done = run("serve", "--threads", "0")
    assert done.returncode == 2 and done.stderr.startswith("error: --threads 0: at least 1 and at most ") and done.stderr.count("\n") == 1
    with start_server(BUNDLE, threads=os.cpu_count() or 1) as server:
        assert server.info["runs_on"].endswith(", CPUExecutionProvider")


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    export_bundle(save_tiny_checkpoint(tmp_path / "checkpoint"), tmp_path / "bundle", Calibration([]), "fp32", "fp32")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = run("serve", "--bundle", str(tmp_path / "bundle"), "--bind", f"tcp://127.0.0.1:{port}")
        process = [sys.executable, "-m", "nvila_edge.serving", "--bundle", str(tmp_path / "bundle"), "--bind", f"tcp://127.0.0.1:{port}"]
        same = subprocess.run(process, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=100)
    assert done.returncode == 1 and done.stderr.startswith(f"error: cannot bind to tcp://127.0.0.1:{port}: Address already in use")
    assert f"--bind tcp://127.0.0.1:{port + 1}" in done.stderr and done.stderr.count("\n") == 1
    assert (same.returncode, same.stderr) == (done.returncode, done.stderr)


def test_what_fails_on_the_way_is_told_apart_from_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2, "no evaluation is there"
    (tmp_path / "file").write_text("")
    options = ("--policy", "oracle", "--episodes", "1", "--out", str(tmp_path / "file" / "out"))
    assert cli.main(["eval", *options]) == 1, "nothing can be written there"
    assert "cannot write to the folder" in capsys.readouterr().err


def test_a_checkpoint_that_is_none_is_told_before_anything_is_rendered_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nvila_edge.verbs.export.calibration", lambda *_, **__: pytest.fail("houses would be rendered"))
    assert cli.main(["export", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "no config.json" in capsys.readouterr().err
