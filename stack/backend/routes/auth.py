"""Signing in and out: `/api/auth`. The page's refresh token goes by cookie, a program's in the body."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from stack.backend.auth.browser import PATH, Cookies, caller_of, known_host, same_origin
from stack.backend.auth.guard import Principal, require, require_admin, unknown
from stack.backend.auth.service import Auth, SignedIn
from stack.backend.auth.sessions import Caller
from stack.backend.auth.wire import (
    AccountAnswer,
    Credentials,
    KeyAnswer,
    MeAnswer,
    Options,
    RefreshRequest,
    Registration,
    SessionAnswer,
    TokenAnswer,
)
from stack.backend.routes import oidc
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend.auth")

Known = Annotated[Principal, Depends(require)]
Admin = Annotated[Principal, Depends(require_admin)]
SessionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


def router(auth: Auth) -> APIRouter:
    """The routes.

    Args:
        auth: the service; the application holds it in `app.state.auth` too, for the guard.
    """
    endpoints = _Endpoints(auth)
    routes = APIRouter(prefix=PATH, tags=["auth"])
    here = [Depends(same_origin)]
    routes.get("/options", summary="How people may sign in")(endpoints.options)
    routes.post("/register", status_code=201, dependencies=here, summary="Make an account and sign in")(endpoints.register)
    routes.post("/login", dependencies=here, summary="Sign in with a password")(endpoints.login)
    routes.post("/demo", dependencies=here, summary="Sign in to the demo account, in development")(endpoints.demo)
    routes.post("/refresh", dependencies=here, summary="New tokens for a refresh token")(endpoints.refresh)
    routes.post("/logout", status_code=204, dependencies=here, summary="End the session")(endpoints.logout)
    routes.get("/me", summary="Who is asking")(endpoints.me)
    routes.get("/sessions", summary="The account's active sessions")(endpoints.sessions)
    routes.delete("/sessions/{session_id}", status_code=204, summary="End one of them")(endpoints.revoke)
    routes.post("/keys/rotate", summary="Sign with a new key from now on")(endpoints.rotate)
    routes.include_router(oidc.router(auth))
    return routes


class _Endpoints:
    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._cookies = Cookies(auth.settings)

    async def options(self) -> Options:
        """What a sign-in form should offer."""
        settings = self._auth.settings
        label = settings.oidc.label if settings.oidc else None
        return Options(demo=not settings.required, registration=settings.registration, oidc=label)

    async def register(self, body: Registration, request: Request, response: Response) -> TokenAnswer:
        """Make an account and sign it in."""
        caller = caller_of(request)
        return self._answer(await self._auth.register(body.name, body.password, caller), caller.page, response)

    async def login(self, body: Credentials, request: Request, response: Response) -> TokenAnswer:
        """Sign in. After five wrong passwords for an account from one address, further ones have to wait."""
        caller = caller_of(request)
        return self._answer(await self._auth.login(body.name, body.password, caller), caller.page, response)

    async def demo(self, request: Request, response: Response) -> TokenAnswer:
        """Sign in to the demo account. Not with AUTH=required."""
        known_host(request, self._auth.settings)
        caller = caller_of(request)
        return self._answer(await self._auth.demo(caller), caller.page, response)

    async def refresh(self, request: Request, response: Response, body: RefreshRequest | None = None) -> TokenAnswer:
        """New tokens. A refresh token is good for one use; one that is used again ends its session."""
        caller = caller_of(request)
        token, cookie = self._token(request, body, caller)
        if token is None:
            raise unknown("not_signed_in", "Sign in first: the request carries no refresh token.")
        signed_in = await self._auth.refresh(token, Caller(caller.address, caller.user_agent, page=cookie))
        return self._answer(signed_in, cookie, response)

    async def logout(self, request: Request, body: RefreshRequest | None = None) -> Response:
        """End the session of the refresh token or, without one, of the access token. Without either, nothing happens."""
        token, _ = self._token(request, body, caller_of(request))
        if token is not None:
            await self._auth.logout(token)
        elif "Authorization" in request.headers:
            principal = await require(request)
            await self._auth.revoke(principal, principal.session_id)
        response = Response(status_code=204)
        self._cookies.drop_refresh(response)
        return response

    async def me(self, principal: Known) -> MeAnswer:
        """Whom the access token is for."""
        return MeAnswer(account=AccountAnswer.of(principal), session_id=principal.session_id)

    async def sessions(self, principal: Known) -> list[SessionAnswer]:
        """The one used last comes first."""
        return [SessionAnswer.of(session, principal) for session in await self._auth.sessions(principal)]

    async def revoke(self, session_id: SessionId, principal: Known) -> Response:
        """Its tokens are worth nothing from now on."""
        if not await self._auth.revoke(principal, session_id):
            raise ApiError(404, "unknown_session", "You have no such active session.")
        return Response(status_code=204)

    async def rotate(self, principal: Admin) -> KeyAnswer:
        """Tokens that were signed before stay good until they end, 15 minutes at most."""
        log.info("An admin rotates the signing keys", account=principal.account_id)
        return KeyAnswer(kid=self._auth.ring.rotate().kid)

    def _token(self, request: Request, body: RefreshRequest | None, caller: Caller) -> tuple[str | None, bool]:
        """The request's refresh token, and whether it comes from the cookie, which only the page may use."""
        if body is not None and body.refresh_token is not None:
            return body.refresh_token, False
        return (self._cookies.refresh(request), True) if caller.page else (None, False)

    def _answer(self, signed_in: SignedIn, page: bool, response: Response) -> TokenAnswer:
        response.headers["Cache-Control"] = "no-store"
        if page:
            self._cookies.set_refresh(response, signed_in.refresh_token)
        return TokenAnswer(
            access_token=signed_in.access_token,
            refresh_token=None if page else signed_in.refresh_token,
            session_id=signed_in.principal.session_id,
            account=AccountAnswer.of(signed_in.principal),
        )
