"""`nvila-edge VERB`: finds the verb (nvila_edge/verbs/), reads its options and runs it.

Nothing else in nvila_edge than the verbs imports agents, sim or export.
"""

from __future__ import annotations

import difflib
import errno
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import tyro

from nvila_edge import __version__
from nvila_edge.verbs.agent import Agent
from nvila_edge.verbs.bench import Bench
from nvila_edge.verbs.chat import Chat
from nvila_edge.verbs.data import DataCollect, DataHouses
from nvila_edge.verbs.demo import Demo
from nvila_edge.verbs.doctor import Doctor, DoctorHabitat
from nvila_edge.verbs.eval import Eval
from nvila_edge.verbs.export import Export
from nvila_edge.verbs.prune import DataPrune
from nvila_edge.verbs.replay import Replay
from nvila_edge.verbs.report import Report
from nvila_edge.verbs.scenetalk import DataScenetalk
from nvila_edge.verbs.serve import Serve
from nvila_edge.verbs.train import Train
from nvila_edge.verbs.verify import Verify

_OURS = ("nvila_edge", "agents", "sim", "export")

VERBS: dict[str, type] = {
    "demo": Demo, "serve": Serve, "agent": Agent, "eval": Eval, "report": Report, "chat": Chat, "export": Export, "verify": Verify,
    "bench": Bench, "train": Train, "data houses": DataHouses, "data scenetalk": DataScenetalk, "data collect": DataCollect,
    "data prune": DataPrune, "replay": Replay, "doctor": Doctor, "doctor habitat": DoctorHabitat,
}  # fmt: skip


def usage() -> str:
    """The list of verbs."""
    lines = "\n".join(f"  {name:<12} {_summary(verb)}" for name, verb in VERBS.items())
    about = "NVILA on a robot's own computer. `nvila-edge VERB --help` shows options and an example."
    return f"usage: nvila-edge VERB [options]\n\n{about}\n\n{lines}"


def _summary(verb: type) -> str:
    return textwrap.shorten((verb.__doc__ or "").split(";")[0].split(":")[0].split(". ")[0].rstrip("."), 100)


def parse(arguments: Sequence[str]) -> Any:
    """The verb with its options, ready to run. Exits with a message, as command-line programs do, for anything that is not allowed."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in VERBS:
            verb = VERBS[name]
            description = f"{verb.__doc__}\n\nexample:\n  {verb.example}"
            return tyro.cli(
                verb, prog=f"nvila-edge {name}", description=description, args=arguments[words:], config=(tyro.conf.FlagCreatePairsOff,)
            )
    groups = {name.split()[0] for name in VERBS if " " in name}
    if arguments and arguments[0] == "--version":
        print(f"nvila-edge {__version__}")
        raise SystemExit(0)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0)
    if arguments[0] in groups and set(arguments[1:]) <= {"-h", "--help"}:
        for name, verb in VERBS.items():
            if name.split()[0] == arguments[0]:
                print(f"nvila-edge {name}: {_summary(verb)}\n  example: {verb.example}")
        raise SystemExit(0)
    said = " ".join(arguments[: 2 if arguments[0] in groups else 1])
    close = difflib.get_close_matches(said, VERBS, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    print(f"nvila-edge: unknown verb {said!r}{hint}\n\n{usage()}", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 fine, 1 something failed on the way, 2 the request cannot be, 130 interrupted."""
    verb = parse(list(sys.argv[1:] if arguments is None else arguments))
    try:
        verb.run()
    except KeyboardInterrupt:
        print("\nstopped; what is finished stays", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        from nvila_edge.doctor import mend

        command = mend(error.name)
        if command is None:
            raise
        print(f"error: the package {error.name!r} is not installed; mend it with: {command}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if _failed_on_the_way(error) else 2
    except RuntimeError as error:
        if not _is_ours(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _failed_on_the_way(error: ValueError | OSError) -> bool:
    """Whether nothing in the request is wrong: the disk is full or broken, or that is what lies behind one of our errors (such as OutputError)."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return True
    return _is_ours(error) and isinstance(error.__cause__, OSError)


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.split(".")[0] in _OURS


if __name__ == "__main__":
    sys.exit(main())
