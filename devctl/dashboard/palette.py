"""The command palette: every command, and those about services once for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from devctl.dashboard import keys

if TYPE_CHECKING:
    from devctl.dashboard.app import Dashboard

SERVICES = 300  # with more, the palette is no help
OF_SERVICES = {
    "start": "start {}",
    "stop": "stop {}",
    "restart": "restart {}",
    "restart_all": "restart {} with its dependents",
    "solo": "show only the log of {}",
    "why": "why is {} in its state",
    "health": "health of {}",
    "environment": "environment of {}",
    "processes": "processes of {}",
    "signal": "send a signal to {}",
    "wait": "wait for {}",
    "open": "open {} in the browser",
    "attach": "get into {}",
}
NOT_HERE = frozenset({"down", "up", "left", "right", "palette", "interrupt", "back"})


class Palette(Provider):
    """Finds commands by their words."""

    def _all(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """(words, help, what to do)."""
        app = cast("Dashboard", self.app)
        for key in keys.KEYS.values():
            if key.id not in NOT_HERE:
                yield key.words, keys.shown(key.id, app.keymap), partial(app.commands.run, key.id)
        snapshot = app.snapshot
        for view in () if snapshot is None else snapshot.services[:SERVICES]:
            for name, words in OF_SERVICES.items():
                yield words.format(view.name), view.state.value, partial(app.commands.run, name, view.name)

    async def discover(self) -> Hits:
        """What is offered before anything is typed."""
        for words, about, act in self._all():
            yield DiscoveryHit(words, act, help=about or None)

    async def search(self, query: str) -> Hits:
        """What fits."""
        matcher = self.matcher(query)
        for words, about, act in self._all():
            score = matcher.match(words)
            if score > 0:
                yield Hit(score, matcher.highlight(words), act, text=words, help=about or None)
