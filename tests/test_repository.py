"""Promises about the repository itself: its size, what its README says, and which part imports which."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvila_edge.cli import parse

MB = 1024 * 1024
TOTAL_LIMIT = 32 * MB  # machines with a GPU receive the working tree in small transfers
FILE_LIMIT = 15 * MB
VERBS = ("demo", "serve", "agent", "eval", "report", "chat", "export", "verify", "bench", "train", "data", "replay", "doctor")

# Which of our packages each package may import. The verbs of the command line alone reach everywhere, inside run().
MAY_IMPORT = {
    "nvila_edge": {"nvila_edge"},
    "agents": {"agents", "nvila_edge"},
    "sim": {"sim", "agents", "nvila_edge"},
    "export": {"export", "nvila_edge"},
}
OURS = {"nvila_edge", "agents", "sim", "export", "ros_bridge", "rclpy"}
# Written in pieces, so that this file does not find itself.
PLACES = [
    *("/wo" + "rk/", "/fa" + "rm/", "/opt/wh" + "eels", "/opt/py" + "pi", "/ro" + "ot/"),
    *("py" + "pi.org", "files.python" + "hosted", "registry.npm" + "js", "proxy.go" + "lang", "download.py" + "torch"),
    *("deb." + "debian", "archive." + "ubuntu"),
]


@pytest.fixture(scope="module")
def tracked(repository: Path) -> list[Path]:
    """What git tracks, or would on the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout: nothing is tracked")
    return [path for name in done.stdout.split("\0") if name and (path := repository / name).is_file()]


def test_tracked_files_are_small_enough_to_travel(tracked: list[Path]) -> None:
    sizes = {str(path): path.stat().st_size for path in tracked}
    assert sum(sizes.values()) <= TOTAL_LIMIT
    assert {path: size for path, size in sizes.items() if size > FILE_LIMIT} == {}


def test_tracked_files_name_no_machine_path_and_no_registry_host(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        data = path.read_bytes()
        if b"\0" not in data[:8192]:
            found += [f"{path}: {place}" for place in PLACES if place in data.decode("utf-8", "replace")]
    assert found == []


def test_nothing_loads_pickles_and_nothing_is_left_unfinished(tracked: list[Path]) -> None:
    leftover = re.compile(r"\b(pickle|allow_pickle=True|weights_only=False|NotImplementedError|TO" + r"DO|FIX" + r"ME)\b")
    sources = [path for path in tracked if path.suffix == ".py" and path.name != Path(__file__).name]
    found = [f"{path}: {hit.group()}" for path in sources for hit in leftover.finditer(_without_docstrings(path))]
    assert found == []


def _without_docstrings(path: Path) -> str:
    """The source as code only: comments and strings that stand alone are gone."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.unparse(tree)


def _code_blocks(readme: str) -> list[str]:
    blocks = re.findall(r"^```(?:bash|sh)\n(.*?)^```", readme, flags=re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def test_readme_starts_with_the_two_commands(repository: Path) -> None:
    commands = _code_blocks((repository / "README.md").read_text())
    assert commands[:2] == ["make demo", "make test"]


def test_every_make_command_in_the_documents_is_a_target(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), flags=re.M))
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (repository / name).read_text()
        commands = re.findall(r"`make ([a-z]+)\b", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
        commands += [line.split()[1] for line in _code_blocks(text) if line.startswith("make ")]
        assert commands
        assert set(commands) <= targets


def test_the_command_line_accepts_every_command_of_the_readme(repository: Path) -> None:
    commands = [line for line in _code_blocks((repository / "README.md").read_text()) if line.startswith("nvila-edge ")]
    assert len(commands) > 20
    for line in commands:
        words = shlex.split(line.removesuffix("&").split(" | ")[0].split(" && ")[0])
        assert parse(words[1:]) is not None, line


def test_every_verb_has_help_with_an_example(repository: Path) -> None:
    for verb in VERBS:
        done = subprocess.run([sys.executable, "-m", "nvila_edge.cli", verb, "--help"], cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        example = done.stdout.partition("example:")[2]
        assert example.split()[:2] == ["nvila-edge", verb], f"{verb} --help shows no example"


def test_every_extra_in_the_readme_is_declared(repository: Path) -> None:
    declared = (repository / "pyproject.toml").read_text()
    extras = re.findall(r'"\.\[([a-z0-9,]+)\]"', (repository / "README.md").read_text())
    names = {name for group in extras for name in group.split(",")}
    assert names
    assert [name for name in names if not re.search(rf"^{name} = \[", declared, flags=re.M)] == []


@pytest.mark.parametrize(
    "module", ["nvila_edge", "nvila_edge.engines", "nvila_edge.serving.server", "nvila_edge.navigation", "agents", "nvila_edge.cli"]
)
def test_the_runtime_imports_no_torch(repository: Path, module: str) -> None:
    probe = f"import sys, {module}; heavy = {{'torch', 'transformers'}} & set(sys.modules); sys.exit(f'loaded {{heavy}}' if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", probe], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Refuses every installed package but the four, as on a robot computer that has only those.
BLOCKED = """
import importlib.metadata, sys
allowed = {"numpy", "zmq", "msgpack", "cv2", "nvila_edge"}
names = set(importlib.metadata.packages_distributions()) - allowed - set(sys.modules)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if path is None and name in names and name.isidentifier() and not name.startswith("_"):
            raise ImportError("not on a robot computer: " + name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, ".")
import nvila_edge.serving.client
"""


def test_the_client_needs_only_numpy_zmq_msgpack_and_cv2(repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _imports(path: Path) -> Iterator[str]:
    """The top-level names of all absolute imports in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_in_one_direction(repository: Path, package: str) -> None:
    wrong = [
        f"{path.relative_to(repository)} imports {name}"
        for path in sorted((repository / package).rglob("*.py"))
        if repository / "nvila_edge" / "verbs" not in path.parents
        for name in _imports(path)
        if name in OURS - MAY_IMPORT[package]
    ]
    assert wrong == []


def test_source_files_stay_readable(tracked: list[Path], repository: Path) -> None:
    folders = {*MAY_IMPORT, "ros_bridge"}
    lengths = {
        str(relative): len(path.read_text().splitlines())
        for path in tracked
        if path.suffix == ".py" and (relative := path.relative_to(repository)).parts[0] in folders
    }
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
