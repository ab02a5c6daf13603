"""`devctl status`: every service's state, why, and what it takes."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from devctl.cli import grid
from devctl.cli.output import print_json
from devctl.cli.style import Style, columns
from devctl.errors import NotRunning
from devctl.glyphs import STATE_COLOURS
from devctl.wording import plural, seconds, size, timestamp

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where

REFRESH = 1.0  # seconds; CPU shares are measured over about this long, so that faster only flickers

COLUMNS = (
    grid.Column("SERVICE"),
    grid.Column("STATE"),
    grid.Column("WHY", shrinks=True, drop=1, least=16),
    grid.Column("PID", right=True, drop=6),
    grid.Column("WHERE", shrinks=True, drop=2, least=14),
    grid.Column("UP", right=True, drop=5),
    grid.Column("RESTARTS", right=True, drop=7),
    grid.Column("CPU", right=True, drop=4),
    grid.Column("MEMORY", right=True, drop=3),
)


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.services("only these")
    parser.flag("-w", "--watch", help="keep it current until Ctrl-C")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Prints the table once, or again and again."""
    if args.watch:
        return watch(args, where)
    data = fetch(where, args.services)
    if args.json:
        print_json(data)
    else:
        print("\n".join(lines(data, Style(), columns())))
    return 0


def fetch(where: Where, services: list[str]) -> dict[str, Any]:
    """The stack's status, reduced to `services` if any. Raises NotRunning, UnknownService."""
    try:
        data = where.client().get("/v1/status")
    except NotRunning as error:
        raise where.not_running() from error
    if services:
        known = {service["name"]: service for service in data["services"]}
        unknown = [name for name in services if name not in known]
        if unknown:
            from devctl.cli.names import unknown_service

            raise unknown_service(unknown[0], known)
        data["services"] = [known[name] for name in dict.fromkeys(services)]
    return data


def watch(args: Namespace, where: Where) -> int:
    """Shows the table until Ctrl-C; raises NotRunning when the stack ends. In a pipe: a new table (or JSON line) each time."""
    from devctl.cli.live import LiveArea

    style = Style()
    area = LiveArea(sys.stdout) if style.terminal and not args.json else None
    try:
        while True:
            data = fetch(where, args.services)
            if args.json:
                print(json.dumps(data, ensure_ascii=False), flush=True)
            elif area is not None:
                area.show(lines(data, style, area.dimensions()[0] - 1))
            else:
                print("\n".join([*lines(data, style, 0), ""]), flush=True)
            time.sleep(REFRESH)
    finally:
        if area is not None:
            area.write("")
            print()


def lines(data: dict[str, Any], style: Style, width: int) -> list[str]:
    """The status for people, `width` cells wide on a terminal."""
    now = time.time()
    rows = [row(service, style, now) for service in data["services"]]
    state = style.paint(data["state"], STATE_COLOURS.get(data["state"], "dim"), "bold")
    up = seconds(max(0.0, now - timestamp(data["started_at"])))
    head = f"{style.paint(data['stack'], 'bold')}: {state}, {plural(len(rows), 'service')}, up {up}, in {data['directory']}"
    return [head, "", *grid.render(COLUMNS, rows, style, width)]


def row(service: dict[str, Any], style: Style, now: float) -> list[str]:
    """One service's cells; empty ones for what a process that does not run has not."""
    running = service["pid"] is not None
    started = service["started_at"]
    return [
        service["name"],
        style.state(service["state"]),
        (service["reason"] or "").split("\n")[0],
        str(service["pid"]) if running else "",
        address(service),
        seconds(max(0.0, now - timestamp(started))) if running and started else "",
        str(service["restarts"]) if service["restarts"] else "",
        f"{service['cpu_percent']:.1f} %" if running else "",
        size(service["memory_bytes"]) if running else "",
    ]


def address(service: dict[str, Any]) -> str:
    """Where to reach it: its URL, else its ports."""
    if service["url"]:
        return str(service["url"])
    return " ".join(f":{port}" if name == "default" else f"{name}:{port}" for name, port in service["ports"].items())
