"""How people may sign in, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from stack.common.settings import SettingError, base_url

# Characters: beyond guessing over a network.
_SHORTEST_TOKEN = 16

_PUBLIC_URL = "http://127.0.0.1:3000"
_LABEL = "OpenID Connect"


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """A provider of OpenID Connect.

    Attributes:
        issuer: its address, as it names itself.
        client_id: our name there.
        client_secret: shared with it; empty for a public client, which PKCE protects alone.
        label: what the page's button calls it.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    label: str = _LABEL


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """How people may sign in.

    Attributes:
        required: every sign-in needs a proof; otherwise (development) the demo account needs none.
        registration: whether anybody may make an account.
        public_url: where browsers find the page, without a slash at the end.
        metrics_token: who may read `/metrics` when `required`; empty: other services only.
        oidc: the provider, when there is one.
    """

    required: bool = False
    registration: bool = True
    public_url: str = _PUBLIC_URL
    metrics_token: str = field(default="", repr=False)
    oidc: OidcSettings | None = None

    @property
    def secure(self) -> bool:
        """Whether the page is served by HTTPS, so that its cookies may travel over nothing else."""
        return self.public_url.startswith("https:")

    @property
    def port(self) -> int:
        """The page's port. Cookies do not know ports, so that two stacks on one machine need names of their own for them."""
        return urlsplit(self.public_url).port or (443 if self.secure else 80)


def from_environment() -> AuthSettings:
    """The settings in AUTH, AUTH_REGISTRATION, PUBLIC_URL, METRICS_TOKEN, and OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET and _LABEL.

    Raises:
        SettingError: one of them cannot be used.
    """
    mode = _choice("AUTH", "development", "required")
    token = _text("METRICS_TOKEN")
    if token and len(token) < _SHORTEST_TOKEN:
        raise SettingError(f"METRICS_TOKEN: give {_SHORTEST_TOKEN} characters at least, such as from `openssl rand -hex 16`")
    return AuthSettings(
        required=mode == "required",
        registration=_choice("AUTH_REGISTRATION", "open", "closed") == "open",
        public_url=base_url("PUBLIC_URL", _PUBLIC_URL),
        metrics_token=token,
        oidc=_oidc(),
    )


def on_this_machine(url: str) -> bool:
    """Whether an address needs no network."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def _oidc() -> OidcSettings | None:
    issuer, client_id = _text("OIDC_ISSUER"), _text("OIDC_CLIENT_ID")
    if not issuer and not client_id:
        return None
    if not issuer or not client_id:
        raise SettingError("OIDC_ISSUER and OIDC_CLIENT_ID: give both or neither")
    # As it is, with the slash that some end in: the provider's own name for itself must equal it.
    base_url("OIDC_ISSUER", "https://accounts.example.org")
    if not issuer.startswith("https:") and not on_this_machine(issuer):
        raise SettingError(f"OIDC_ISSUER={issuer!r}: give an https address; http is only for this machine")
    return OidcSettings(issuer, client_id, _text("OIDC_CLIENT_SECRET"), _text("OIDC_LABEL") or _LABEL)


def _choice(name: str, default: str, other: str) -> str:
    text = _text(name).lower() or default
    if text not in (default, other):
        raise SettingError(f"{name}={text!r}: give {default} or {other}")
    return text


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()
