"""`vittne edge`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vittne.appliance.cli_values import Add
from vittne.appliance.store.errors import StoreError, explain

NAME = "vittne-edge"  # of the descriptor that systemd passes


def add_edge(add: Add) -> None:
    """Add the command."""
    command = add("edge", _edge, "open rings for a recorder that has no right to; systemd starts it")
    command.add_argument("--socket", type=Path, metavar="PATH", help="listen here; default: what systemd passes")


def _edge(options: argparse.Namespace) -> int:
    import socket  # noqa: PLC0415 - here and below: only what a command needs

    from vittne.appliance.edge.server import listen, serve  # noqa: PLC0415
    from vittne.appliance.service.manager import service_manager  # noqa: PLC0415

    manager = service_manager(os.environ)
    fds = manager.given.get(NAME, [])
    if options.socket is not None:
        try:
            sock = listen(options.socket)
        except OSError as error:
            raise explain(error, "listen", options.socket) from error
    elif fds:
        sock = socket.socket(fileno=fds[0])
    else:
        raise StoreError("nobody passed a socket", "vittne edge", "systemd does (vittne-edge.socket), or give --socket")
    with sock:
        manager.say("READY=1")
        serve(sock)
    return 0
