"""`${…}` in all its forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.manifest.interpolate import Interpolation, Unresolved
from devctl.plan import REFERENCE, reference

VALUES = {"A": "a", "EMPTY": "", "DOLLAR": "${A}$$"}


def resolve(text: str, **options: object) -> str:
    return Interpolation(VALUES.get, stack={"stack.name": "s", "stack.dir": "/d"}, **options).resolve(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "a"),
        ("$A-$A", "a-a"),
        ("x${A}y", "xay"),
        ("$$A $${A} $$$A", "$A ${A} $a"),
        ("${NO}", ""),
        ("${NO:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${A:-d}", "a"),
        ("${EMPTY-d}", ""),
        ("${NO-d}", "d"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NO+x}", ""),
        ("${A:?m}", "a"),
        ("${EMPTY?m}", ""),
        ("${NO:-${A}}", "a"),
        ("${NO:-${NO2:-${A}b}c}d", "abcd"),
        ("${NO:-}", ""),
        ("${NO:-a:b-c?d}", "a:b-c?d"),
        ("${A:-${NO:?not asked}}", "a"),
        ("${DOLLAR}", "${A}$$"),
        ("${NO:-$$}", "$"),
        ("{}", "{}"),
        ("a}b", "a}b"),
        ("${stack.name}@${stack.dir}", "s@/d"),
        ("${services.x.port}", reference("services.x.port")),
        ("${services.a.b-c.ports.x}", reference("services.a.b-c.ports.x")),
        ("${NO:-${services.x.url}}", reference("services.x.url")),
    ],
)
def test_resolved(text: str, result: str) -> None:
    """Each form becomes what Compose makes of it; values are not looked into again."""
    assert resolve(text) == result


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("ab${NO:?m}", 2, 10),
        ("ab${EMPTY:?m}", 2, 13),
        ("$", 0, 1),
        ("x$(y)", 1, 2),
        ("$1", 0, 1),
        ("${}", 0, 2),
        ("${1}", 0, 2),
        ("${A", 0, 3),
        ("${A:-x", 0, 3),
        ("${A!}", 0, 3),
        ("${A:}", 0, 3),
        ("${services.x.port:-1}", 0, 17),
        ("${replica}", 0, 10),
        ("${stack}", 0, 8),
        ("${stack.nope}", 0, 13),
    ],
)
def test_unresolved(text: str, start: int, end: int) -> None:
    """What cannot be replaced is named by its offsets."""
    with pytest.raises(Unresolved) as caught:
        resolve(text)
    assert (caught.value.start, caught.value.end) == (start, end)


def test_message_is_told() -> None:
    """The message after `:?` is part of the error, its variables replaced."""
    with pytest.raises(Unresolved, match=r"`NO` is not set: needs a$"):
        resolve("${NO:?needs ${A}}")


def test_unset_variables_are_reported() -> None:
    """A variable that is not set and has no default is told to the caller; one in a branch not taken is not."""
    unset: list[str] = []
    assert resolve("${NO} $NO2 ${NO3:-x} ${A:-${NO4}}", on_unset=lambda name, at: unset.append(name)) == "  x a"
    assert unset == ["NO", "NO2"]


def test_lenient_keeps_dollars() -> None:
    """Env files keep a dollar that starts nothing."""
    assert resolve("pa$!s $1 $", strict=False) == "pa$!s $1 $"


def test_nesting_is_bounded() -> None:
    """A thousand nested defaults are an error, not a recursion."""
    with pytest.raises(Unresolved, match="nested deeper"):
        resolve("${A:-" * 1000 + "}" * 1000)


def test_growth_is_bounded() -> None:
    """A big value used many times is an error before it fills memory."""
    with pytest.raises(Unresolved, match="larger than 1 MB"):
        Interpolation({"A": "x" * 100_000}.get).resolve("${A}" * 1000)


@given(st.text(alphabet="${}:-?+AB$ abc.\n", max_size=60))
def test_never_breaks(text: str) -> None:
    """Any text is resolved or refused with offsets inside it."""
    found: Unresolved | None = None
    try:
        resolve(text)
    except Unresolved as error:
        found = error
    assert found is None or 0 <= found.start < found.end <= len(text)


@given(st.text(max_size=60))
def test_escaping_round_trip(text: str) -> None:
    """A text with its dollars doubled comes back as it was."""
    assert resolve(text.replace("$", "$$")) == text


@given(st.text(alphabet=st.characters(exclude_characters="$}\0", codec="utf-8"), max_size=30))
def test_default_round_trip(text: str) -> None:
    """A default without `$` and `}` is taken as it is."""
    assert resolve("${NO-" + text + "}") == text
    assert not REFERENCE.search(resolve("${NO-" + text + "}"))
