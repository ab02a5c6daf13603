"""What `/api/auth` takes and answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stack.backend.auth.accounts import NAME
from stack.backend.auth.guard import Principal
from stack.backend.auth.passwords import LONGEST, SHORTEST
from stack.backend.auth.sessions import Session
from stack.backend.auth.tokens import LIFETIME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
NewPassword = Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
RefreshToken = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Registration(_Strict):
    """A new account."""

    name: Name
    password: NewPassword


class Credentials(_Strict):
    """Who signs in."""

    name: Name
    password: Password


class RefreshRequest(_Strict):
    """The refresh token of a program; the page's is in its cookie."""

    refresh_token: RefreshToken | None = None


class AccountAnswer(BaseModel):
    """An account."""

    id: str
    name: str
    admin: bool

    @classmethod
    def of(cls, principal: Principal) -> AccountAnswer:
        """The account of whoever is asking."""
        return cls(id=principal.account_id, name=principal.name, admin=principal.admin)


class TokenAnswer(BaseModel):
    """What a sign-in brings (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = Field(default=LIFETIME, description="Seconds until the access token ends")
    refresh_token: str | None = Field(description="For programs; the page's is in a cookie")
    session_id: str
    account: AccountAnswer


class MeAnswer(BaseModel):
    """Who is asking."""

    account: AccountAnswer
    session_id: str


class SessionAnswer(BaseModel):
    """An active session; times are Unix seconds."""

    id: str
    current: bool = Field(description="Whether it is the one that asks")
    method: str
    address: str
    user_agent: str
    created: float
    last_used: float
    expires: float

    @classmethod
    def of(cls, session: Session, principal: Principal) -> SessionAnswer:
        """A session as its owner sees it."""
        return cls(
            id=session.session_id,
            current=session.session_id == principal.session_id,
            method=session.method,
            address=session.address,
            user_agent=session.user_agent,
            created=session.created,
            last_used=session.last_used,
            expires=session.expires,
        )


class Options(BaseModel):
    """How people may sign in here."""

    demo: bool = Field(description="Whether POST /api/auth/demo signs in without a password")
    registration: bool = Field(description="Whether anybody may make an account")
    oidc: str | None = Field(description="What the provider of OpenID Connect is called; null without one")


class KeyAnswer(BaseModel):
    """The key that signs from now on."""

    kid: str
