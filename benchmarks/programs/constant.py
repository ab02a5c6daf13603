"""The floor of the reference stack: its framework and server, answering constants. Port from PORT.

GET /health and POST /route answer JSON of a usual size; WS /ws answers each message with CHUNKS messages.
"""

from __future__ import annotations

import json

from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from stack.common.contract import RouteAnswer, RouteRequest, Timings
from stack.common.serve import Stop, run

CHUNKS = 20

_TIMINGS = Timings(classify_ms=0, agent_ms=0)
_ANSWER = RouteAnswer(intent="chat.greeting", confidence=0.9, agent="chat", reply="x" * 200, history_length=2, timings=_TIMINGS)
_CHUNK = json.dumps({"type": "stream_chunk", "id": 1, "session_id": "constant", "message_id": "constant", "text": "constant "})


def build(stop: Stop) -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/route")
    async def route(body: RouteRequest) -> RouteAnswer:
        return _ANSWER

    @app.websocket("/ws")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.receive_text()
                for _ in range(CHUNKS):
                    await websocket.send_text(_CHUNK)
        except WebSocketDisconnect:
            pass

    return app


run("constant", 8000, build)
