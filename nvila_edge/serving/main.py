"""Serving a bundle: the function behind `nvila-edge serve` and `python -m nvila_edge.serving`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvila_edge.ending import ending_signals
from nvila_edge.engines.engine import Engine, load_bundle
from nvila_edge.serving.address import DEFAULT_BIND, checked_bind
from nvila_edge.serving.http import HttpServer, Route
from nvila_edge.serving.keys import ServerKeys, server_keys
from nvila_edge.serving.routes import ChatRoutes, watch_routes
from nvila_edge.serving.server import ServedEngine, Server
from nvila_edge.serving.talk import Talker
from nvila_edge.serving.wire import PROTOCOL_VERSION

Announce = Callable[[dict[str, Any]], None]


def serve(
    bundle: Path,
    bind: str = DEFAULT_BIND,
    *,
    announce: Announce,
    backend: str = "onnxruntime",
    threads: int = 1,
    ends_with_stdin: bool = False,
    keys: Path | None = None,
    http: int | None = None,
) -> None:
    """Serve a bundle until a signal ends it (ending.py), then drain.

    `announce` gets the ready line: address, boot, profile, window, protocol, and http with `http`.

    threads: cores that one pass may use. keys: folder of the server's keys (keys.py), needed beyond loopback.
    http: port on 127.0.0.1 for /healthz, /metrics and OpenAI's chat completions (routes.py); 0 picks a free one.
    `ends_with_stdin`: also end when stdin closes, that is, with the process that started this one.
    Raises ValueError for a bad address, keys or bundle, ServerStartError when the address is taken. Call it from the main thread.
    """
    own_keys = server_keys(keys) if keys else None
    checked_bind(bind, own_keys is not None)  # before the bundle takes its seconds to load
    engine = load_bundle(bundle, backend=backend, threads=threads)
    serve_engine(engine, bind, announce=announce, ends_with_stdin=ends_with_stdin, keys=own_keys, http=http, name=bundle.resolve().name)


def serve_engine(
    engine: ServedEngine,
    bind: str = DEFAULT_BIND,
    *,
    announce: Announce,
    ends_with_stdin: bool = False,
    keys: ServerKeys | None = None,
    http: int | None = None,
    name: str = "nvila-edge",
) -> None:
    """Serve an engine, as serve() does; chats know it by `name`, and get answers from engines of bundles only."""
    server, watched = Server(engine, bind, keys=keys), None
    try:
        watched = None if http is None else HttpServer(http, _routes(server, engine, name))
        for signum in ending_signals():
            signal.signal(signum, lambda *_: server.stop())
        if ends_with_stdin:
            threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
        server.warm_up()
        known = {} if watched is None else {"http": watched.url}
        announce({"ready": True, "protocol": PROTOCOL_VERSION, **server.info(), **known})
        server.run()
    finally:
        server.close()
        if watched is not None:
            watched.close()


def _routes(server: Server, engine: ServedEngine, name: str) -> dict[str, Route]:
    if not isinstance(engine, Engine):
        return watch_routes(server)
    return watch_routes(server) | ChatRoutes(Talker(engine, server.run_task), name, server.metrics).routes()


def _stop_at_end_of_stdin(server: Server) -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would still be held when the interpreter wants it on its way out
        pass
    server.stop()
