"""Signing in at the provider: the way there and back."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stack.backend.auth.browser import PATH, Cookies, caller_of
from stack.backend.auth.flow import OidcError
from stack.backend.auth.oidc import Provider
from stack.backend.auth.service import Auth
from stack.common.errors import ApiError
from stack.common.log import Log

log = Log("stack.backend.auth.oidc")


def router(auth: Auth) -> APIRouter:
    """The routes below `/oidc`; without a provider they answer 404."""
    endpoints = _Endpoints(auth)
    routes = APIRouter(prefix="/oidc")
    routes.get("/start", status_code=303, summary="Sign in at the provider")(endpoints.start)
    routes.get("/callback", status_code=303, summary="The way back from the provider")(endpoints.callback)
    return routes


class _Endpoints:
    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._cookies = Cookies(auth.settings)
        self._page = f"{auth.settings.public_url}/"
        self._back = f"{auth.settings.public_url}{PATH}/oidc/callback"

    async def start(self, request: Request) -> Response:
        """Sends the browser to the provider."""
        provider = self._provider()
        flow, sealed = self._auth.begin_flow(caller_of(request))
        try:
            response = RedirectResponse(await provider.address(flow, self._back), 303)
        except OidcError as error:
            return self._failed(error)
        self._cookies.set_flow(response, sealed)
        return response

    async def callback(
        self,
        request: Request,
        code: Annotated[str, Query(max_length=2000)] = "",
        state: Annotated[str, Query(max_length=200)] = "",
        iss: Annotated[str, Query(max_length=500)] = "",
    ) -> Response:
        """The provider sends the browser here; it goes on to the page, signed in, or with the reason in `?sign_in=`."""
        provider = self._provider()
        try:
            flow = self._auth.resume_flow(self._cookies.flow(request))
            if not secrets.compare_digest(flow.state.encode(), state.encode("utf-8", "replace")):
                raise OidcError("invalid", "the answer belongs to another sign-in")
            if not code:
                raise OidcError("denied", "the provider signed nobody in")
            identity = await provider.identity(flow, code, self._back, iss)
            signed_in = await self._auth.external(identity, caller_of(request))
        except OidcError as error:
            return self._failed(error)
        except ApiError as error:
            # The database is away. A browser is on its way to the page, which can say so; the bare answer would be all it shows.
            return self._failed(OidcError("unavailable", str(error.detail)))
        response = RedirectResponse(self._page, 303)
        self._cookies.set_refresh(response, signed_in.refresh_token)
        self._cookies.drop_flow(response)
        return response

    def _provider(self) -> Provider:
        if self._auth.provider is None:
            raise ApiError(404, "no_provider", "No provider of OpenID Connect is configured here; OIDC_ISSUER names one.")
        return self._auth.provider

    def _failed(self, error: OidcError) -> Response:
        log.warning("A sign-in at the provider failed", reason=str(error))
        response = RedirectResponse(f"{self._page}?sign_in={error.code}", 303)
        self._cookies.drop_flow(response)
        return response
