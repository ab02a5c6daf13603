"""How the plan reaches the supervisor, and what of a client that misbehaves."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from devctl.errors import LaunchError, ManifestError, Problem, StackBusy
from devctl.plan import LogSettings, Plan, to_json
from devctl.supervisor.channel import PLAN_LIMIT, Channel, pair
from tests.lifecycle.history import spec

PLAN = Plan("shop", "/shop", ("/shop/services.yaml",), {"web": spec("web", check=True)}, LogSettings())
BODY = json.dumps(to_json(PLAN)).encode()


def header(size: object = len(BODY), lease: object = True) -> bytes:
    return json.dumps({"size": size, "lease": lease}).encode() + b"\n"


def receive(*blocks: bytes) -> tuple[Plan, bool]:
    """What the supervisor gets when the client sends `blocks` and hangs up."""

    async def scene() -> tuple[Plan, bool]:
        ours, theirs = pair()
        channel = Channel(theirs.detach())
        receiving = asyncio.create_task(channel.receive())
        with ours:
            for block in blocks:
                ours.sendall(block)
                await asyncio.sleep(0)
        try:
            return await receiving
        finally:
            await channel.ended()

    return asyncio.run(scene())


def test_a_plan_arrives() -> None:
    """As it was sent, with the lease."""
    assert receive(header() + BODY) == (PLAN, True)


def test_a_plan_in_pieces() -> None:
    """However the socket cuts it."""
    whole = header(lease=False) + BODY
    assert receive(*(whole[at : at + 100] for at in range(0, len(whole), 100))) == (PLAN, False)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"not json\n",
        b"\n",
        b"[]\n",
        b"{}\n",
        b"[" * 5000 + b"\n",
        header("many"),
        header(None),
        b'{"size": 1e999, "lease": true}\n',
        header(PLAN_LIMIT + 1),
        header(),
        header() + BODY[:-1],
        header(2) + b"{}",
        header(2) + b"[]",
        header(4) + b"null",
        header(len(BODY)) + b"\xff" * len(BODY),
        header(-5) + BODY,
        b'{"size": 10, "lease": true}',
        header(19) + b'{"version": "nope"}',
        header(68) + b'{"version": 1, "name": "x", "directory": "/", "files": [], "services": 1}'[:68],
    ],
)
def test_a_bad_client(sent: bytes) -> None:
    """Whatever it sends instead of a plan, and wherever it stops: one error that says so."""
    with pytest.raises(LaunchError, match="the client sent no plan"):
        receive(sent)


def test_the_end_of_a_client() -> None:
    """It hung up: the lease is over."""
    assert not ending(b"")


def test_detaching() -> None:
    """It said so before it hung up: the stack is to stay."""
    assert ending(b"detach\n")


def test_detaching_in_the_same_block_as_the_plan() -> None:
    """What came right behind the plan is not lost."""
    assert ending(b"", behind_plan=b"detach\n")


def ending(said: bytes, behind_plan: bytes = b"") -> bool:
    async def scene() -> bool:
        ours, theirs = pair()
        channel = Channel(theirs.detach())
        with ours:
            ours.sendall(header() + BODY + behind_plan)
            await channel.receive()
            ours.sendall(said)
        return await asyncio.wait_for(channel.ended(), 10)

    return asyncio.run(scene())


def test_news_go_out_one_a_line() -> None:
    """The client reads JSON lines; errors carry what, where and how to mend."""

    async def scene() -> list[dict[str, str]]:
        ours, theirs = pair()
        channel = Channel(theirs.detach())
        with ours:
            channel.tell({"event": "started"})
            channel.tell_error(StackBusy("another holds it", "`devctl down`"))
            channel.tell_error(ManifestError([Problem("services.yaml", 1, 1, "bad")]))
            lines = ours.recv(1 << 16).splitlines()
        await channel.ended()
        return [json.loads(line) for line in lines]

    started, busy, manifest = asyncio.run(scene())
    assert started == {"event": "started"}
    assert busy == {"event": "error", "type": "StackBusy", "what": "another holds it", "mend": "`devctl down`"}
    assert manifest["type"] == "ManifestError"


def test_telling_nobody() -> None:
    """A client that is gone, or does not read, hinders nothing."""

    async def scene() -> None:
        ours, theirs = socket.socketpair()
        channel = Channel(theirs.detach())
        for _ in range(3000):
            channel.tell({"event": "x" * 1000})
        ours.close()
        channel.tell({"event": "serving"})
        await channel.ended()

    asyncio.run(scene())
