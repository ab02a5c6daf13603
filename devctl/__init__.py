"""devctl: local orchestration of multi-service stacks from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devctl.version import __version__

if TYPE_CHECKING:
    from devctl.api import Stack

__all__ = ["Stack", "__version__"]


def __getattr__(name: str) -> object:
    # Lazily: the command line must not pay for httpx (100 ms) when it only wants the version.
    if name == "Stack":
        from devctl.api import Stack

        return Stack
    raise AttributeError(f"module 'devctl' has no attribute {name!r}")
