"""The reference stack: how soon it is ready, how fast it answers, and what holds under load. The floor is its own framework and
server with constants (`programs/constant.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from websockets.asyncio.client import connect

from benchmarks.place import LIMIT, PROGRAMS, Place, free_ports, place, private_bytes
from benchmarks.report import Row, beside, median, milliseconds, percentile
from stack.verify.stage import PROJECT, Stage, until
from stack.verify.visitor import Visitor

STARTS = 3
REQUESTS = 300
CLIENTS = 200
CHUNKS = 20  # messages of an answer at the floor, as in programs/constant.py; the stack's own answers have about as many
ROUNDS = 6  # answers for each of these clients; the first fills caches and is not part of the growth
JOBS = 1000
AT_ONCE = 8  # jobs are handed in over this many connections

READY, MEMORY = 6.0, 200.0  # seconds, MB for each service
ROUTE, CLASSIFY, CACHED = 0.2, 0.05, 0.01  # seconds
GROWTH = 8.0  # MB: "flat"; the interpreter's arenas alone come in blocks of 1 MB

MESSAGES = ("hello", "what does the depends_on key do?", "how do I see the logs of one service?", "tell me a joke about whales")


@contextlib.contextmanager
def _constants(count: int) -> Iterator[tuple[Place, list[int], float]]:
    """A chain of constant services under devctl: its place, its ports, and the seconds of its `up`."""
    with place() as here:
        ports = free_ports(count)
        here.environ["PYTHONPATH"] = str(PROJECT)
        here.write(
            {
                f"s{index}": {
                    "command": [sys.executable, str(PROGRAMS / "constant.py")],
                    "port": port,
                    "healthcheck": {"http": f"http://127.0.0.1:{port}/health"},
                    "depends_on": [f"s{index - 1}"] if index else [],
                }
                for index, port in enumerate(ports)
            }
        )
        yield here, ports, here.run("up", "-d")


def _times(act: Callable[[int], Any], count: int = REQUESTS) -> list[float]:
    """Seconds of each call, one after the other; ten before them are not counted."""
    found = []
    for index in range(-10, count):
        begin = time.perf_counter()
        act(index)
        if index >= 0:
            found.append(time.perf_counter() - begin)
    return found


def _ready(notes: list[str]) -> list[Row]:
    times, floors, memory = [], [], {}
    for _ in range(STARTS):
        with _constants(3) as (_, _, seconds):
            floors.append(seconds)
        with Stage() as stage:
            begin = time.perf_counter()
            stage.devctl("up", "--detach", "--auto-ports")
            times.append(time.perf_counter() - begin)
            memory = {service["name"]: service["memory_bytes"] / 1e6 for service in stage.status()["services"]}
    value, floor = median(times), median(floors)
    return [
        Row("stack: `up -d` until all three are ready", f"{value:.1f} s", f"≤ {READY:g} s", value <= READY,
            beside("constants", f"{floor:.1f} s", value / floor)),
        _memory("stack: memory of the biggest service, just ready", memory),
    ]  # fmt: skip


def _memory(what: str, megabytes: dict[str, float]) -> Row:
    name = max(megabytes, key=lambda each: megabytes[each])
    return Row(f"{what} ({name})", f"{megabytes[name]:.0f} MB", f"≤ {MEMORY:.0f} MB", megabytes[name] <= MEMORY)


def _answers(stage: Stage, visitor: Visitor, notes: list[str]) -> list[Row]:
    classified: list[float] = []
    router = stage.service("router")["url"]
    with httpx.Client(trust_env=False, timeout=LIMIT) as client, _constants(1) as (_, ports, _):

        def route(address: str) -> Callable[[int], Any]:
            def act(index: int) -> Any:
                body = {"session_id": f"bench-{index % 20}", "message": MESSAGES[index % 3]}
                return client.post(f"{address}/route", json=body).raise_for_status().json()

            return act

        floor = _times(route(f"http://127.0.0.1:{ports[0]}"))
        ours = _times(lambda index: classified.append(route(router)(index)["timings"]["classify_ms"] / 1000))
    visitor.ask("What is cached?")
    cached = _times(lambda _: _hold(visitor.ask("What is cached?")["cached"]))
    base = percentile(floor, 95)
    notes.append(
        f"stack: route median {milliseconds(median(ours))}, cached answer through the frontend {milliseconds(median(cached))}"
    )
    return [
        _row("stack: route without a model, p95", percentile(ours, 95), ROUTE, base),
        _row("stack: classification, p95", percentile(classified, 95), CLASSIFY, base),
        _row("stack: cached answer through the page's server, p95", percentile(cached, 95), CACHED, base),
    ]


def _hold(condition: bool) -> None:
    if not condition:
        raise RuntimeError("an answer that should have come from the cache did not")


def _row(what: str, seconds: float, target: float, floor: float) -> Row:
    other = beside("constant", milliseconds(floor), seconds / floor)
    return Row(what, milliseconds(seconds), f"≤ {milliseconds(target)}", seconds <= target, other)


async def _at_once(speak: Callable[[int, asyncio.Barrier], Any]) -> tuple[list[int], float]:
    """(what each client received, seconds) of all clients, which begin together when all are connected."""
    barrier = asyncio.Barrier(CLIENTS + 1)
    async with asyncio.timeout(LIMIT):
        tasks = [asyncio.create_task(speak(index, barrier)) for index in range(CLIENTS)]
        await barrier.wait()
        begin = time.perf_counter()
        received = await asyncio.gather(*tasks)
    return received, time.perf_counter() - begin


async def _constant_streams(address: str) -> tuple[list[int], float]:
    async def speak(index: int, barrier: asyncio.Barrier) -> int:
        async with connect(address, open_timeout=LIMIT) as socket:
            await barrier.wait()
            for _ in range(ROUNDS):
                await socket.send("go")
                for _ in range(CHUNKS):
                    await socket.recv()
        return ROUNDS * CHUNKS

    return await _at_once(speak)


async def _streams(address: str, token: str, pid: int) -> tuple[list[int], float, list[int], int]:
    """(messages received by each client, seconds, private bytes of the backend after each round, answers that came whole)."""
    whole, sizes = 0, []
    rounds = asyncio.Barrier(CLIENTS)

    async def speak(index: int, barrier: asyncio.Barrier) -> int:
        nonlocal whole
        count = 0
        async with connect(f"{address}/ws/assistant/bench-{index}", open_timeout=LIMIT) as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            while json.loads(await socket.recv())["type"] != "connected":
                pass
            await barrier.wait()
            for _ in range(ROUNDS):
                await socket.send(json.dumps({"type": "message", "text": MESSAGES[3]}))
                text = ""
                while (message := json.loads(await socket.recv()))["type"] != "stream_end":
                    count += 1
                    if message["type"] == "error":
                        raise RuntimeError(str(message["error"]))
                    text += message.get("text", "") if message["type"] == "stream_chunk" else ""
                whole += text == message["reply"]
                # All are done with this round before the next one begins, so that the sizes are comparable.
                if await rounds.wait() == 0:
                    sizes.append(private_bytes(pid))
        return count

    received, seconds = await _at_once(speak)
    return received, seconds, sizes, whole


def _websockets(stage: Stage, visitor: Visitor, notes: list[str]) -> list[Row]:
    backend = stage.service("backend")
    address = backend["url"].replace("http", "ws", 1)
    received, seconds, sizes, whole = asyncio.run(_streams(address, visitor.token, backend["pid"]))
    with _constants(1) as (_, ports, _):
        constant, floor = asyncio.run(_constant_streams(f"ws://127.0.0.1:{ports[0]}/ws"))
    ours, theirs = sum(received) / seconds, sum(constant) / floor
    dropped = CLIENTS * ROUNDS - whole
    growth = (sizes[-1] - sizes[0]) / 1e6
    each = ", ".join(f"{size / 1e6:.0f}" for size in sizes)
    notes.append(f"stack: WebSockets, private memory of the backend after each round {each} MB")
    return [
        Row(f"stack: {CLIENTS} WebSockets streaming at once, answers lost", f"{dropped} of {CLIENTS * ROUNDS}", "0", dropped == 0),
        Row("stack: the same, messages a second", f"{ours:.0f}", beside=beside("constant", f"{theirs:.0f}", ours / theirs)),
        Row("stack: the same, growth of the backend's memory", f"{growth:.1f} MB", f"≤ {GROWTH:g} MB", growth <= GROWTH),
    ]


def _queue(notes: list[str]) -> list[Row]:
    with Stage(["full"]) as stage:
        stage.devctl("up", "--detach", "--auto-ports")
        with contextlib.ExitStack() as opened:
            visitor = opened.enter_context(contextlib.closing(Visitor(stage.service("frontend")["url"])))
            headers = {"Authorization": f"Bearer {visitor.token}"}
            backend = stage.service("backend")["url"]
            client = opened.enter_context(httpx.Client(base_url=backend, headers=headers, timeout=LIMIT, trust_env=False))
            names = [uuid.uuid4().hex for _ in range(JOBS)]
            refused: list[str] = []

            def submit(name: str) -> None:
                """Hand a job in; again when it was not accepted, as a client should."""

                def accepted() -> bool:
                    body = {"task": "chat", "prompt": f"Question {name}", "id": name}
                    status = client.post("/api/assistant/jobs", json=body).status_code
                    if status != 202:
                        refused.append(name)
                    return status == 202

                until(accepted, f"job {name} is accepted")

            def done() -> int:
                return int(client.get("/api/queue/stats").json()["tasks"].get("done", 0))

            begin = time.perf_counter()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                handed = [pool.submit(submit, name) for name in names]
                until(lambda: done() >= JOBS // 10, "a tenth of the jobs are done")
                back = stage.kill("nats")
                for each in handed:
                    each.result()
            with contextlib.suppress(Exception):
                until(lambda: done() >= JOBS, "all jobs are done")
            seconds = time.perf_counter() - begin
            records = [client.get(f"/api/assistant/jobs/{name}").json() for name in names]
        memory = {
            service["name"]: service["memory_bytes"] / 1e6
            for service in stage.status()["services"]
            if service["name"] in ("router", "backend", "frontend")
        }
    answered = sum(record["state"] == "done" and bool(record["answer"]) for record in records)
    again = f"{len(refused)} times a job was refused meanwhile, and handed in again"
    notes.append(f"stack: NATS was back {back:.1f} s after its kill; {again}")
    return [
        Row(
            f"stack: {JOBS:,} queued requests, NATS killed meanwhile: answered",
            f"{answered:,} in {seconds:.1f} s",
            f"{JOBS:,}",
            answered == JOBS,
        ),
        _memory("stack: memory of the biggest service, after that", memory),
    ]


def measure(notes: list[str]) -> list[Row]:
    """Start, answers, streams and queue, each on a stack of its own but answers and streams."""
    rows = _ready(notes)
    with Stage() as stage:
        stage.devctl("up", "--detach", "--auto-ports")
        with contextlib.closing(Visitor(stage.service("frontend")["url"])) as visitor:
            rows += _answers(stage, visitor, notes)
            rows += _websockets(stage, visitor, notes)
    return rows + _queue(notes)
