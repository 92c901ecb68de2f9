"""`python -m nvila_edge.serving --bundle DIR --bind tcp://127.0.0.1:PORT`: a server process that prints one JSON line when it is ready."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TextIO

from nvila_edge.serving.address import DEFAULT_BIND
from nvila_edge.serving.errors import ServingError
from nvila_edge.serving.main import serve


def main() -> int:
    """Exit status: 0 after a drain, 1 when it could not start (a taken port), 2 when what was asked for cannot be; as `nvila-edge serve`."""
    parser = argparse.ArgumentParser(prog="python -m nvila_edge.serving", description="Serve a bundle on a loopback address.")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--bind", default=DEFAULT_BIND)
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1, help="cores that one pass over the model may use")
    parser.add_argument("--keys", type=Path, help="folder of the server's keys; needed for an address beyond loopback")
    parser.add_argument("--http", type=int, help="port on 127.0.0.1 for /healthz, /metrics and /v1/chat/completions; 0 picks a free one")
    parser.add_argument("--ends-with-stdin", action="store_true", help="end when stdin closes, that is, with the parent process")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        serve(
            arguments.bundle,
            arguments.bind,
            announce=lambda line: _say(sys.stdout, json.dumps(line)),
            backend=arguments.backend,
            threads=arguments.threads,
            ends_with_stdin=arguments.ends_with_stdin,
            keys=arguments.keys,
            http=arguments.http,
        )
    except (ValueError, OSError, ServingError) as error:
        _say(sys.stderr, f"error: {error}")
        return 1 if isinstance(error, ServingError) else 2
    return 0


def _say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
