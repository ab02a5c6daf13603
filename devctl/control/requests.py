"""Reading requests: bounded bodies, known keys only, and refusals that say which key was meant."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request

from devctl.control.problems import Refused

SMALL_BODY = 64 * 1024  # lists of names and flags: 64 KiB holds thousands
PLAN_BODY = 8 * 1024 * 1024  # a manifest may have 1 MB; resolved, with the environment merged into each service, it grows

_KINDS: dict[type, str] = {bool: "true or false", str: "a string", list: "a list of service names", dict: "an object"}


async def read_fields(request: Request, kinds: Mapping[str, type], *, limit: int = SMALL_BODY) -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object.

    Args:
        kinds: the keys that are allowed and the type of each: bool, str, dict, or list for a list of strings.
        limit: the body's bound in bytes.

    Raises:
        Refused: too large, no JSON, no object, an unknown key, a value of another type.
    """
    text = await _read_body(request, limit)
    if not text.strip():
        return {}
    try:
        fields: Any = json.loads(text)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Refused(f"the request body is not JSON: {error}", "send a JSON object") from error
    if not isinstance(fields, dict):
        raise Refused("the request body is JSON, but not an object", f"send an object with {_listing(kinds)}")
    _refuse_unknown("key", fields, kinds)
    for key, value in fields.items():
        if not _fits(value, kinds[key]):
            raise Refused(f"{key!r} in the request body is of the wrong type", f"give it {_KINDS[kinds[key]]}")
    return fields


def read_query(request: Request, allowed: Iterable[str]) -> dict[str, str]:
    """The query parameters. Raises Refused for one that is unknown or given twice."""
    pairs = request.query_params.multi_items()
    names = tuple(allowed)
    _refuse_unknown("parameter", (key for key, _ in pairs), names)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise Refused("a query parameter is given twice", "give each one once; lists are comma-separated")
    return values


def names_of(value: str | None) -> list[str]:
    """The names in a comma-separated list, without repetitions."""
    return list(dict.fromkeys(name for part in (value or "").split(",") if (name := part.strip())))


def integer_of(value: str | None, name: str, default: int) -> int:
    """A count or an id. Raises Refused for anything but a whole number from 0 to 2^63 - 1."""
    if value is None:
        return default
    largest = 2**63 - 1
    # isascii: int() takes other scripts' digits too.
    if not (value.isascii() and value.isdecimal() and len(value) <= 19 and int(value) <= largest):
        raise Refused(f"{name}={value[:40]} is not a number that can be used here", f"use a whole one from 0 to {largest}")
    return int(value)


def seconds_of(value: str | None, name: str, default: float, maximum: float) -> float:
    """A duration in seconds. Raises Refused for what is no number, negative or above `maximum`."""
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= maximum:  # nan is refused too
        raise Refused(f"{name}={value[:40]} is not a number of seconds", f"use one from 0 to {maximum:g}")
    return number


def choice_of(value: str | None, name: str, choices: tuple[str, ...], default: str) -> str:
    """One of `choices`. Raises Refused for any other value."""
    if value is None:
        return default
    if value not in choices:
        raise Refused(f"{name}={value} is not possible", f"use one of {', '.join(choices)}")
    return value


async def _read_body(request: Request, limit: int) -> bytes:
    too_large = Refused(f"the request body is over {limit} bytes", "send less", code="too_large", http_status=413)
    # The announced length is only believed when it refuses: a chunked body announces nothing.
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large
    body = bytearray()
    try:
        async for block in request.stream():
            body += block
            if len(body) > limit:
                raise too_large
    except ClientDisconnect as error:
        raise Refused("the client left in the middle of its request") from error
    return bytes(body)


def _fits(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, kind) and (kind is not list or all(isinstance(item, str) for item in value))


def _refuse_unknown(what: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    known = list(allowed)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"possible here: {_listing(known)}"
            raise Refused(f"unknown {what} {key[:80]!r}", mend)


def _listing(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
