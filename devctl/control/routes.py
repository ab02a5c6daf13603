"""The routes of the control API: each reads a request, asks the supervisor, and shapes the answer. `openapi` describes them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devctl.control import loglines, metrics, sse
from devctl.control.feed import EventFeed, Filter
from devctl.control.interface import Supervisor, WaitFor
from devctl.control.leases import Leases
from devctl.control.openapi import document
from devctl.control.problems import Refused, describe, error_json
from devctl.control.requests import PLAN_BODY, choice_of, integer_of, names_of, read_fields, read_query, seconds_of
from devctl.control.streams import NDJSON, STALL_SECONDS, StreamResponse, client_left, event_chunks
from devctl.errors import DevctlError
from devctl.plan import Plan, from_json
from devctl.version import __version__

WAIT_DEFAULT = 60.0
WAIT_MAX = 86_400.0  # a day; who waits longer asks again

Handler = Callable[[Request], Awaitable[Response]]


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """The rhythm of streams, in seconds: signs of life, and how long a client may take nothing."""

    heartbeat: float = sse.HEARTBEAT_SECONDS
    stall: float = STALL_SECONDS


def answer(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(sse.dump(value), status, headers, "application/json")


class Routes:
    """The handlers for one supervisor.

    Args:
        closing: set when the server closes; waiting requests and streams then end.
    """

    def __init__(self, supervisor: Supervisor, run_id: str, feed: EventFeed, closing: asyncio.Event, pace: Pace) -> None:
        self._supervisor = supervisor
        self._run_id = run_id
        self._feed = feed
        self._closing = closing
        self._pace = pace
        self._leases = Leases(supervisor, closing, pace.heartbeat, pace.stall)

    def table(self) -> list[Route]:
        """Every route."""
        name = "/v1/services/{name}"
        get: list[tuple[str, Handler]] = [
            ("/health", self.health),
            ("/metrics", self.metrics),
            ("/openapi.json", self.openapi),
            ("/v1/status", self.status),
            (name, self.service),
            (f"{name}/why", self.why),
            (f"{name}/environment", self.environment),
            (f"{name}/health", self.health_history),
            (f"{name}/processes", self.processes),
            ("/v1/wait", self.wait),
            ("/v1/timeline", self.timeline),
        ]
        streams: list[tuple[str, Handler]] = [
            (f"{name}/logs", self.logs),
            ("/v1/events", self.events),
            ("/v1/lease", self.lease),
        ]
        post: list[tuple[str, Handler]] = [
            *((f"{name}/{verb}", self.operation(verb, named=True)) for verb in OPERATIONS),
            *((f"/v1/{verb}", self.operation(verb, named=False)) for verb in OPERATIONS),
            (f"{name}/signal", self.signal),
            ("/v1/reload", self.reload),
            ("/v1/shutdown", self.shutdown),
            ("/v1/lease/{id}/detach", self.detach),
        ]
        routes = [Route(path, handler, methods=["GET"]) for path, handler in (*get, *streams)]
        for route in routes[len(get) :]:
            # A HEAD would do the work, hold the lease even, and show none of it.
            route.methods = {"GET"}
        return [*routes, *(Route(path, handler, methods=["POST"]) for path, handler in post)]

    async def health(self, request: Request) -> Response:
        read_query(request, ())
        return answer({"status": "ok", "version": __version__, "run_id": self._run_id})

    async def metrics(self, request: Request) -> Response:
        # Prometheus may add parameters of its own.
        return Response(metrics.render(self._supervisor.status()), headers={"content-type": metrics.CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        return answer(document())

    async def status(self, request: Request) -> Response:
        read_query(request, ())
        return answer(self._supervisor.status().json())

    async def service(self, request: Request) -> Response:
        read_query(request, ())
        return answer(self._supervisor.service(request.path_params["name"]).json())

    async def why(self, request: Request) -> Response:
        read_query(request, ())
        return answer(self._supervisor.explain(request.path_params["name"]).json())

    async def environment(self, request: Request) -> Response:
        read_query(request, ())
        name = request.path_params["name"]
        spec = self._supervisor.spec(name)
        environment = self._supervisor.environment(name)
        return answer({"environment": environment, "argv": list(spec.argv), "working_dir": spec.working_dir})

    async def health_history(self, request: Request) -> Response:
        read_query(request, ())
        return answer(self._supervisor.health(request.path_params["name"]).json())

    async def processes(self, request: Request) -> Response:
        read_query(request, ())
        return answer(self._supervisor.processes(request.path_params["name"]).json())

    async def timeline(self, request: Request) -> Response:
        read_query(request, ())
        return answer({"entries": [entry.json() for entry in self._supervisor.timeline()]})

    def operation(self, verb: str, *, named: bool) -> Handler:
        """The handler of start, stop or restart, for the one service in the path or for those in the body."""
        option = OPERATIONS[verb]
        kinds: dict[str, type] = {option: bool} if named else {option: bool, "services": list}

        async def handler(request: Request) -> Response:
            read_query(request, ())
            fields = await read_fields(request, kinds)
            names = [request.path_params["name"]] if named else list(dict.fromkeys(fields.pop("services", ())))
            if not names:
                raise Refused("no service is named", 'send {"services": ["NAME"]}')
            touched = await getattr(self._supervisor, verb)(names, **fields)
            return answer({"services": [self._supervisor.service(name).json() for name in touched]})

        return handler

    async def signal(self, request: Request) -> Response:
        read_query(request, ())
        fields = await read_fields(request, {"signal": str})
        if "signal" not in fields:
            raise Refused("no signal is named", 'send {"signal": "SIGHUP"}')
        await self._supervisor.signal(request.path_params["name"], fields["signal"])
        return answer({})

    async def reload(self, request: Request) -> Response:
        read_query(request, ())
        fields = await read_fields(request, {"plan": dict}, limit=PLAN_BODY)
        return answer(await self._supervisor.reload(_plan(fields.get("plan"))))

    async def shutdown(self, request: Request) -> Response:
        read_query(request, ())
        fields = await read_fields(request, {"force": bool})
        receipt = await self._supervisor.shutdown(force=fields.get("force", False))
        return answer(receipt.json())

    async def wait(self, request: Request) -> Response:
        values = read_query(request, ("services", "for", "timeout"))
        condition = choice_of(values.get("for"), "for", get_args(WaitFor), "ready")
        timeout = seconds_of(values.get("timeout"), "timeout", WAIT_DEFAULT, WAIT_MAX)
        names = names_of(values.get("services")) or [service.name for service in self._supervisor.status().services]
        for name in names:
            self._supervisor.service(name)
        if not names:
            return answer({"done": True, "timed_out": False, "services": [], "impossible": []})
        work = asyncio.create_task(self._supervisor.wait(names, condition))  # type: ignore[arg-type]
        ends = [asyncio.create_task(client_left(request.receive)), asyncio.create_task(self._closing.wait())]
        try:
            await asyncio.wait({work, *ends}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return answer({**work.result(), "timed_out": False})
            timed_out = not any(end.done() for end in ends)
        finally:
            for task in (work, *ends):
                task.cancel()
        services = [self._supervisor.service(name).json() for name in names]
        return answer({"done": False, "timed_out": timed_out, "services": services, "impossible": []})

    async def events(self, request: Request) -> Response:
        values = read_query(request, ("after", "service", "type"))
        wanted = Filter(frozenset(names_of(values.get("service"))), frozenset(names_of(values.get("type"))))
        for name in wanted.services:
            self._supervisor.service(name)
        if sse.MEDIA_TYPE not in request.headers.get("accept", ""):
            after = integer_of(values.get("after"), "after", 0)
            return answer({"events": [event.json() for event in self._supervisor.events(after) if wanted.accepts(event)]})
        # A browser that reconnects repeats the address it was given, so the header knows better.
        given = request.headers.get("last-event-id") or values.get("after")
        after = integer_of(given, "after", self._feed.newest())
        chunks = event_chunks(self._feed, after, wanted, self._pace.heartbeat)
        return StreamResponse(chunks, sse.MEDIA_TYPE, stall=self._pace.stall)

    async def logs(self, request: Request) -> Response:
        values = read_query(request, loglines.PARAMETERS)
        name = request.path_params["name"]
        self._supervisor.service(name)
        query = loglines.LogQuery.parse(values)
        chunks = await loglines.open_log(name, self._supervisor.log_files()[name], query, self._closing)
        return StreamResponse(chunks, NDJSON, stall=self._pace.stall)

    async def lease(self, request: Request) -> Response:
        read_query(request, ())
        return self._leases.open()

    async def detach(self, request: Request) -> Response:
        read_query(request, ())
        await read_fields(request, {})
        self._leases.detach(request.path_params["id"])
        return answer({})


OPERATIONS = {"start": "with_dependencies", "stop": "with_dependents", "restart": "with_dependents"}
"""The operations on services and the one option that each has, see `Supervisor`."""


def application(routes: Routes) -> Starlette:
    """The ASGI application, with every error in the API's shape."""
    app = Starlette(
        routes=routes.table(),
        exception_handlers={DevctlError: _devctl_error, HTTPException: _http_error, Exception: _internal_error},
    )
    app.router.redirect_slashes = False  # a client that is told it is wrong is mended; one that is redirected is slow for ever
    return app


def _plan(data: Any) -> Plan:
    if data is None:
        raise Refused("there is no plan to reload", 'send {"plan": …} as `devctl.plan.to_json` gives it')
    try:
        return from_json(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = error if type(error) is ValueError else f"{type(error).__name__}: {error}"
        mend = "client and supervisor may differ in version: `devctl down`, then `devctl up`"
        raise Refused(f"the plan cannot be used: {problem}", mend) from error


async def _devctl_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DevctlError)
    status, body = describe(error)
    return answer(body, status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    what = f"{request.method} {request.url.path[:200]} is not part of the API"
    return answer(error_json(code, what, "GET /openapi.json lists what is", 1), error.status_code, error.headers)


async def _internal_error(request: Request, error: Exception) -> Response:
    # Starlette raises it again afterwards, and uvicorn logs the traceback.
    what = f"the supervisor failed at {request.method} {request.url.path[:200]}: {type(error).__name__}: {error}"
    return answer(error_json("internal", what, "this is a bug in devctl; logs/devctl.log has the traceback", 1), 500)
