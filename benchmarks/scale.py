"""300 services in three layers, beside 30: what each service costs."""

from __future__ import annotations

from typing import Any

from benchmarks.place import place
from benchmarks.report import Row, beside, median, milliseconds

SMALL, LARGE, LAYERS = 30, 300, 3
TARGET = 2.0


def services(count: int) -> dict[str, Any]:
    """`count` services in three layers; each of a layer waits for three of the layer below."""
    width = count // LAYERS
    found: dict[str, Any] = {}
    for layer in range(LAYERS):
        for index in range(width):
            below = [f"l{layer - 1}-{(index + step) % width}" for step in range(3)] if layer else []
            found[f"l{layer}-{index}"] = {"command": ["sleep", "600"], "depends_on": below}
    return found


def _up_and_down(count: int) -> tuple[float, float]:
    with place() as here:
        here.write(services(count))
        return here.run("up", "-d"), here.run("down")


def measure(notes: list[str]) -> list[Row]:
    """Seconds per service, up and down; medians of three rounds of the small stack, one of the large."""
    small = [_up_and_down(SMALL) for _ in range(3)]
    large = _up_and_down(LARGE)
    rows = []
    for index, command in enumerate(("up -d", "down")):
        one, other = large[index] / LARGE, median([pair[index] for pair in small]) / SMALL
        rows.append(
            Row(
                f"{LARGE} services, {LAYERS} layers: `{command}`, per service",
                milliseconds(one),
                f"≤ {TARGET:.0f} x that at {SMALL}",
                one <= TARGET * other,
                beside(f"{SMALL} services", milliseconds(other), one / other),
            )
        )
    notes.append(f"scale: {LARGE} services took {milliseconds(large[0])} up and {milliseconds(large[1])} down")
    return rows
