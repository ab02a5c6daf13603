"""Service names: checking them and completing them."""

from __future__ import annotations

from collections.abc import Iterable

from devctl.cli.where import Where
from devctl.errors import DevctlError, NotRunning, UnknownService


def unknown_service(name: str, known: Iterable[str]) -> UnknownService:
    """What to raise for a name that is none of `known`."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    mend = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
    return UnknownService(f"there is no service {name!r}", mend)


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises UnknownService for the first of `names` that is none of `known`."""
    there = set(known)
    for name in names:
        if name not in there:
            raise unknown_service(name, there)


def service_names(where: Where) -> list[str]:
    """The names to complete: those of the running stack, which answers in milliseconds, else those of the manifest."""
    try:
        return [service["name"] for service in where.client(timeout=1).get("/v1/status")["services"]]
    except NotRunning:
        pass
    except DevctlError:
        return []
    try:
        plan = where.plan(check_commands=False)
    except DevctlError:
        return []
    return [*plan.services, *plan.available]
