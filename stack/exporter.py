"""`python -m stack.exporter`: devctl's metrics on a TCP port, 9188 by default.

devctl answers on a Unix socket, which Prometheus cannot ask. This hands on `/metrics` and nothing else: whoever reaches the port
can read numbers, not steer the stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stack.common.errors import HANDLERS, ApiError
from stack.common.health import Health
from stack.common.log import Log
from stack.common.serve import Stop, run
from stack.common.settings import SettingError

log = Log("stack.exporter")

# Seconds for one question to devctl, which answers in milliseconds, and for its command, which has to start.
_TIMEOUT = 5.0


class Exporter:
    """Asks the devctl that runs this very service.

    Raises:
        SettingError: devctl does not run it, or its command cannot be found.
    """

    def __init__(self) -> None:
        self._run_id = os.environ.get("DEVCTL_RUN_ID", "")
        if not self._run_id:
            raise SettingError("DEVCTL_RUN_ID is not set: start the exporter with devctl, whose metrics it hands on")
        beside = Path(sys.executable).with_name("devctl")
        command = str(beside) if beside.exists() else shutil.which("devctl")
        if command is None:
            raise SettingError("there is no devctl on PATH: install it, or put its directory there")
        self._command = command
        self._health = Health("exporter")
        self._client: httpx.AsyncClient | None = None
        self._finding = asyncio.Lock()

    def app(self) -> Starlette:
        """The application."""
        routes = [Route("/health", self._get_health), Route("/metrics", self._get_metrics)]
        return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        if self._client is not None:
            await self._client.aclose()

    async def _get_health(self, _: Request) -> Response:
        return JSONResponse(self._health.answer({}))

    async def _get_metrics(self, _: Request) -> Response:
        try:
            async with asyncio.timeout(_TIMEOUT):
                async with self._finding:
                    if self._client is None:
                        self._client = await self._find()
                answer = await self._client.get("/metrics")
        except (TimeoutError, httpx.HTTPError, OSError, ValueError) as error:
            log.warning("devctl cannot be asked", reason=str(error) or type(error).__name__)
            raise ApiError(503, "devctl_unreachable", "devctl does not answer; `devctl doctor` looks for the cause.") from error
        return Response(answer.content, answer.status_code, {"content-type": answer.headers["content-type"]})

    async def _find(self) -> httpx.AsyncClient:
        """A client for the socket of the devctl with our run id, among all that run.

        Raises:
            OSError: there is none, or the command failed.
            ValueError: its answer makes no sense.
        """
        process = await asyncio.create_subprocess_exec(
            self._command, "ls", "--json", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            output, _ = await process.communicate()
        finally:
            # One that hangs is not waited for, and must not stay: the next question starts another.
            if process.returncode is None:
                process.kill()
        stacks: list[dict[str, Any]] = json.loads(output)
        for socket in [(stack.get("supervisor") or {}).get("socket") for stack in stacks]:
            if not socket:
                continue
            client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://devctl", timeout=_TIMEOUT, trust_env=False
            )
            with contextlib.suppress(httpx.HTTPError, ValueError):
                if (await client.get("/health")).json().get("run_id") == self._run_id:
                    return client
            await client.aclose()
        raise OSError("no running devctl has this run")


def build(stop: Stop) -> Starlette:
    """The exporter as an application; see `Exporter`."""
    return Exporter().app()


if __name__ == "__main__":
    run("exporter", 9188, build)
