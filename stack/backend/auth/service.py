"""Signing in and out, whichever way, and who holds a token."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from stack.backend.auth import accounts, sessions
from stack.backend.auth.accounts import DEMO, Account, NameTaken
from stack.backend.auth.flow import Flow
from stack.backend.auth.guard import Principal, unknown
from stack.backend.auth.keys import ROTATE_AFTER, KeyRing
from stack.backend.auth.limits import Attempts
from stack.backend.auth.oidc import Identity, Provider
from stack.backend.auth.passwords import Passwords
from stack.backend.auth.sessions import Caller, Session
from stack.backend.auth.settings import AuthSettings
from stack.backend.auth.tokens import LIFETIME, AccessTokens
from stack.backend.database.database import Database
from stack.common.errors import ApiError
from stack.common.internal import InternalKey
from stack.common.log import Log
from stack.common.settings import SettingError

log = Log("stack.backend.auth")

FRESH = 5.0
"""Seconds for which a session found active counts as such. Revoked by this backend it ends at once, by another after them."""

# Sessions whose state is remembered, 100 bytes each.
_MAX_KNOWN = 10_000

# Seconds between two sweeps of ended sessions and two looks at the age of the key.
_HOUSEKEEPING = 3600.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What somebody gets who signed in.

    Attributes:
        principal: who they are.
        access_token: for the Authorization header, for LIFETIME seconds.
        refresh_token: for the next one, good for one use.
    """

    principal: Principal
    access_token: str
    refresh_token: str


class Auth:
    """The service behind the routes and the guard. A component: start it after the database.

    Args:
        database: where accounts and sessions are.
        settings: how people may sign in.
        directory: where the keys are; it exists.
        internal: knows the other services.
        clock: Unix seconds.

    Raises:
        SettingError: the directory holds no usable keys and none can be made.
    """

    name = "auth"

    def __init__(
        self,
        database: Database,
        settings: AuthSettings,
        directory: Path,
        internal: InternalKey,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.internal = internal
        self.provider = Provider(settings.oidc, clock) if settings.oidc else None
        try:
            self.ring = KeyRing(directory / "auth-keys.json", LIFETIME, clock)
        except (OSError, ValueError) as error:
            raise SettingError(f"STACK_STATE: {error}") from error
        self._database = database
        self._clock = clock
        self._tokens = AccessTokens(self.ring, clock)
        self._passwords = Passwords()
        # Five guesses at an account from one address, then one each three minutes. Its owner, elsewhere, is not locked out by that.
        self._pair = Attempts(5, 15 * 60)
        # From everywhere together: a hundred addresses that take turns are stopped as well.
        self._account = Attempts(50, 15 * 60)
        # From one address, whatever the account.
        self._address = Attempts(30, 15 * 60)
        self._sign_ups = Attempts(20, 3600)
        # Reloads of the page and test runs, not floods.
        self._free = Attempts(120, 60)
        self._known: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._listeners: list[Callable[[str], None]] = []
        self._housekeeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Auth {'required' if self.settings.required else 'development'}>"

    async def start(self) -> None:
        """Begin the hourly housekeeping."""
        self._housekeeper = asyncio.create_task(self._keep_house())
        if not self.settings.required:
            log.info("Development: anybody who reaches the page is signed in as demo; AUTH=required turns that off")

    async def stop(self) -> None:
        """End the housekeeping and close the connections to the provider."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        if self.provider is not None:
            await self.provider.close()

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        detail = "sign-in required" if self.settings.required else "development: a demo account"
        return {"status": "ok", "detail": detail, "oidc": self.settings.oidc is not None}

    def on_revoked(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the id of each session that this backend ends, so that its streams can be closed."""
        self._listeners.append(listener)

    async def register(self, name: str, password: str, caller: Caller) -> SignedIn:
        """Make an account and sign it in.

        Raises:
            ApiError: 403 when nobody may register, 409 when the name is taken, 429, 503.
        """
        if not self.settings.registration:
            raise ApiError(403, "registration_closed", "New accounts are not made here; ask who runs this stack.")
        self._sign_ups.take(caller.address)
        hashed = await self._passwords.hash(password)
        taken = ApiError(409, "name_taken", "This name is taken; choose another.")
        if accounts.key_of(name) == DEMO:
            raise taken
        try:
            async with self._database.transaction("auth.register") as connection:
                account = await accounts.add(connection, name, hashed, self._clock())
                return await self._begin(connection, account, "password", caller)
        except NameTaken as error:
            raise taken from error

    async def login(self, name: str, password: str, caller: Caller) -> SignedIn:
        """Sign in with a password.

        Raises:
            ApiError: 401 when name and password do not belong together, 429 after too many tries, 503.
        """
        key = accounts.key_of(name)
        pair = f"{caller.address} {key}"
        async with self._database.transaction("auth.find") as connection:
            account = await accounts.by_name(connection, name)
        self._address.take(caller.address)
        self._pair.take(pair)
        self._account.take(key)
        if not await self._passwords.matches(account.password_hash if account else None, password):
            log.warning("A sign-in was refused", address=caller.address)
            raise ApiError(401, "wrong_credentials", "Name and password do not belong together.")
        assert account is not None
        assert account.password_hash is not None
        for bucket, used in ((self._address, caller.address), (self._pair, pair), (self._account, key)):
            bucket.give_back(used)
        renewed = await self._passwords.hash(password) if self._passwords.outdated(account.password_hash) else None
        async with self._database.transaction("auth.login") as connection:
            if renewed is not None:
                await accounts.set_password(connection, account.account_id, renewed)
            return await self._begin(connection, account, "password", caller)

    async def demo(self, caller: Caller) -> SignedIn:
        """Sign in to the demo account.

        Raises:
            ApiError: 403 with AUTH=required, 429, 503.
        """
        if self.settings.required:
            raise ApiError(403, "demo_off", "There is no demo account here: sign in with yours.")
        self._free.take(caller.address)
        async with self._database.transaction("auth.demo") as connection:
            account = await accounts.demo(connection, self._clock())
            return await self._begin(connection, account, "demo", caller)

    def begin_flow(self, caller: Caller) -> tuple[Flow, str]:
        """A sign-in at the provider begins: the flow, and the form in which the browser keeps it. Raises ApiError 429."""
        self._free.take(caller.address)
        flow = Flow.new()
        return flow, flow.seal(self.ring.derive("oidc"), self._clock())

    def resume_flow(self, sealed: str) -> Flow:
        """The flow that a browser brings back. Raises OidcError."""
        return Flow.unseal(sealed, self.ring.derive("oidc"), self._clock())

    async def external(self, identity: Identity, caller: Caller) -> SignedIn:
        """Sign in somebody whom the provider knows. Raises ApiError 503."""
        async with self._database.transaction("auth.external") as connection:
            account = await accounts.of_identity(connection, identity.issuer, identity.subject, identity.name, self._clock())
            return await self._begin(connection, account, "oidc", caller)

    async def refresh(self, token: str, caller: Caller) -> SignedIn:
        """New tokens for a refresh token, which is used up.

        Raises:
            ApiError: 401 when it is none, its session has ended, or it was used before (then its session ends), 503.
        """
        async with self._database.transaction("auth.refresh") as connection:
            found = await sessions.refresh(connection, token, self._clock(), self._successor, page=caller.page)
            account = await accounts.by_id(connection, found.account_id) if found.outcome == "ok" else None
        if account is not None:
            return self._signed_in(account, found.session_id, found.token)
        if found.outcome == "reused":
            log.warning("A refresh token was used twice; its session was ended", session=found.session_id, address=caller.address)
            self._ended(found.session_id)
            raise unknown("token_reused", "This refresh token was used before, so its session was ended; sign in again.")
        raise unknown("session_ended", "This session has ended; sign in again.")

    async def logout(self, token: str) -> None:
        """End the session of a refresh token; one of no session is as good as signed out. Raises ApiError 503."""
        async with self._database.transaction("auth.logout") as connection:
            owner = await sessions.owner_of(connection, token)
            if owner is not None:
                await sessions.revoke(connection, *owner, self._clock())
        if owner is not None:
            self._ended(owner[1])

    async def sessions(self, principal: Principal) -> list[Session]:
        """The account's active sessions, the one used last first. Raises ApiError 503."""
        async with self._database.transaction("auth.sessions") as connection:
            return await sessions.of_account(connection, principal.account_id, self._clock())

    async def revoke(self, principal: Principal, session_id: str) -> bool:
        """End one of the account's sessions. False when it has no such active one. Raises ApiError 503."""
        async with self._database.transaction("auth.revoke") as connection:
            revoked = await sessions.revoke(connection, principal.account_id, session_id, self._clock())
        if revoked:
            self._ended(session_id)
        return revoked

    async def principal_of(self, token: str) -> Principal:
        """Who holds an access token whose session has not ended.

        While the database is away, the sessions that were found active before still count: nobody can be signed out then either.

        Raises:
            ApiError: 401 when it is no good, 503 when that cannot be found out now.
        """
        principal = self._tokens.read(token)
        if not await self._active(principal.session_id):
            raise unknown("session_ended", "This session has ended; sign in again.")
        return principal

    async def _active(self, session_id: str) -> bool:
        active, found = self._known.get(session_id, (False, float("-inf")))
        # Ended is for ever.
        if found > float("-inf") and (not active or time.monotonic() - found < FRESH):
            return active
        try:
            async with self._database.transaction("auth.check") as connection:
                now_active = await sessions.active(connection, session_id, self._clock())
        except ApiError:
            if active:
                return True
            raise
        # It may have been ended while we asked.
        if self._known.get(session_id, (True,))[0]:
            self._remember(session_id, now_active)
        return self._known[session_id][0]

    def _remember(self, session_id: str, active: bool) -> None:
        self._known[session_id] = (active, time.monotonic())
        self._known.move_to_end(session_id)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def _ended(self, session_id: str) -> None:
        self._remember(session_id, False)
        for listener in self._listeners:
            listener(session_id)

    async def _begin(self, connection: AsyncConnection, account: Account, method: str, caller: Caller) -> SignedIn:
        session_id, token = await sessions.begin(connection, account, method, caller, self._clock())
        log.info("Signed in", account=account.account_id, method=method, session=session_id)
        return self._signed_in(account, session_id, token)

    def _signed_in(self, account: Account, session_id: str, token: str) -> SignedIn:
        principal = Principal(account.account_id, account.name, session_id, account.admin)
        return SignedIn(principal, self._tokens.make(principal), token)

    def _successor(self, token: str) -> bytes:
        return self.ring.derive("refresh", token)

    async def _keep_house(self) -> None:
        while True:
            self.ring.rotate(older_than=ROTATE_AFTER)
            # Without a database there is nothing to sweep, and it says so itself.
            with contextlib.suppress(ApiError):
                async with self._database.transaction("auth.sweep") as connection:
                    if swept := await sessions.sweep(connection, self._clock()):
                        log.info("Deleted ended sessions", count=swept)
            await asyncio.sleep(_HOUSEKEEPING)
