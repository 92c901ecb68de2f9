"""`nvila-edge serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nvila_edge.options.backend import BackendName
from nvila_edge.shipped import BUNDLE


@dataclass(frozen=True)
class Serve:
    """Serve a bundle to agents until Ctrl-C."""

    example: ClassVar[str] = "nvila-edge serve --bind tcp://127.0.0.1:5555"
    bundle: Path = BUNDLE
    """Bundle folder; the built-in one when left out."""
    bind: str = "tcp://127.0.0.1:5555"
    """Address to listen on, on loopback unless there are keys; port * picks a free one."""
    backend: BackendName = "onnxruntime"
    """What runs the engines; tensorrt needs those that `nvila-edge export --target tensorrt-rtx` built, onnxruntime-cuda and onnxruntime-tensorrt-rtx
    (never run by us) an onnxruntime with that provider."""
    threads: int = 1
    """Cores that one pass over the model may use."""

    keys: Path | None = None
    """Folder of this server's keys: needed to listen beyond loopback, and then only clients with keys of theirs get in."""
    new_client: str | None = None
    """Make keys for a client of that name in the folder of --keys (and the server's, when there are none yet), and end."""

    http: int | None = None
    """Port on this computer for /healthz, /metrics (Prometheus) and an OpenAI-compatible /v1/chat/completions; 0 picks a free one."""

    def run(self) -> None:
        if self.new_client is not None:
            return _make_keys(self.keys, self.new_client)
        from nvila_edge.serving.main import serve

        def announce(line: dict[str, Any]) -> None:
            print(
                f"serving {self.bundle} on {line['address']}, profile {line['profile']}, by {line['runs_on']}; Ctrl-C ends it", flush=True
            )
            if "http" in line:
                print(f"{line['http']}/healthz, /metrics and /v1 (model {self.bundle.resolve().name}: any key will do)", flush=True)

        serve(
            self.bundle, self.bind, announce=announce, backend=self.backend, threads=self.threads, keys=self.keys, http=self.http
        )  # fmt: skip


def _make_keys(folder: Path | None, name: str) -> None:
    from nvila_edge.serving.keys import new_client

    if folder is None:
        raise ValueError(f"--new-client {name}: say where keys are kept with --keys DIR")
    made = new_client(folder, name)
    print(
        f"copy {made} to the client's computer by a safe way, then there: nvila-edge agent --keys {made.name} --server tcp://THIS_HOST:5555 ..."
    )
    print(f"serve with: nvila-edge serve --keys {folder} --bind tcp://0.0.0.0:5555")
