"""The command line: every verb has help with an example that it accepts; mistakes are named, without a traceback."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nvila_edge import cli

PROMISED = "demo serve agent eval report chat export verify bench train data doctor".split()  # DESIGN.md; replay comes with the recorder


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
    for arguments in ((), ("--help",), ("data", "--help")):
        done = run(*arguments)
        assert done.returncode == 0 and all(verb in done.stdout for verb in PROMISED)


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
        assert status in (1, 2) and said.startswith("error: ") and message in said and said.count("\n") == 1, said


def test_a_machine_without_egl_is_told_what_to_install() -> None:
    done = run("doctor", __EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "EGL" in line)
    assert line.startswith("FAIL") and "apt-get install" in line


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        done = run("serve", "--bundle", str(tmp_path), "--bind", f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ")
