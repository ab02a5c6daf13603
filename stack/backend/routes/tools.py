"""The tools over HTTP: what there is, calling one, answering for one that changes something."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from stack.backend.auth.guard import Principal, require
from stack.backend.tools.confirmations import Confirmation
from stack.backend.tools.tools import Tools
from stack.common.contract import SessionId
from stack.common.errors import ApiError

ToolName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,160}$")]
CallId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ToolCall(_Strict):
    """A call of a tool."""

    arguments: dict[str, Any] = Field(default={}, description="As the tool's input schema has them")
    session_id: SessionId | None = Field(default=None, description="The conversation that it comes up in")


class Decision(_Strict):
    """The answer to a call that waits."""

    allow: bool


class ToolDescription(BaseModel):
    """A tool."""

    name: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    changes: bool = Field(description="It changes something: a call waits until a person confirms it")


class ToolList(BaseModel):
    """The tools that are there now."""

    tools: list[ToolDescription]


class ToolOutcome(BaseModel):
    """What came of a call."""

    allowed: bool = Field(description="It was made; false when a person refused")
    ok: bool = Field(description="The tool did it")
    text: str = Field(description="What it said, for people")
    data: dict[str, Any] | None = Field(description="The same for programs, when the tool has an output schema")


class PendingCall(BaseModel):
    """A call that waits for a person."""

    call_id: str
    tool: str
    arguments: dict[str, Any]
    text: str
    expires_in: float


class PendingAnswer(BaseModel):
    """The answer to a call that must be confirmed first."""

    confirmation: PendingCall


class ConfirmationState(PendingCall):
    """A call that waits or waited."""

    status: str = Field(description="pending, allowed, denied or expired")


_Answers = dict[int | str, dict[str, Any]]

_ERRORS: _Answers = {401: {"description": "Not signed in"}}
_OF_CALLS: _Answers = {
    202: {"model": PendingAnswer, "description": "It changes something and waits for a person's confirmation"},
    404: {"description": "There is no such tool"},
    422: {"description": "The tool does not take these arguments"},
    502: {"description": "The tool's answer cannot be used"},
    503: {"description": "The tool's server is not there"},
    504: {"description": "The tool took too long"},
}
_UNKNOWN: _Answers = {404: {"description": "There is no such call, or it is long over"}}
_OF_DECISIONS: _Answers = {
    **_UNKNOWN,
    403: {"description": "A service asked, and only a person can confirm"},
    409: {"description": "It was answered already"},
    410: {"description": "The time to confirm it is over"},
}


def router(tools: Tools) -> APIRouter:
    """The routes of `tools`. All of them need a sign-in, or the token of another service; only a person can confirm."""
    routes = APIRouter(prefix="/api/tools", tags=["tools"], dependencies=[Depends(require)], responses=_ERRORS)

    @routes.get("", summary="The tools there are")
    async def list_tools() -> ToolList:
        return ToolList(tools=[ToolDescription(**tool.json()) for tool in await tools.list()])

    # Declared before the tools by name, which would take their path.
    @routes.get("/confirmations/{call_id}", summary="A call that waits, or what became of it", responses=_UNKNOWN)
    async def confirmation(call_id: CallId) -> ConfirmationState:
        return ConfirmationState(**tools.confirmations.look(call_id))

    @routes.post("/confirmations/{call_id}", summary="Allow or refuse a call that waits", responses=_OF_DECISIONS)
    async def decide(call_id: CallId, body: Decision, who: Annotated[Principal, Depends(require)]) -> ToolOutcome:
        if who.internal:
            raise ApiError(403, "people_only", "A service cannot confirm what a person should.")
        return ToolOutcome(**(await tools.decide(call_id, body.allow)).json())

    @routes.post("/{name}", summary="Call a tool", response_model=ToolOutcome, responses=_OF_CALLS)
    async def call(name: ToolName, body: ToolCall) -> JSONResponse:
        came = await tools.call(name, body.arguments, body.session_id)
        if isinstance(came, Confirmation):
            return JSONResponse({"confirmation": came.json()}, 202)
        return JSONResponse(came.json())

    return routes
