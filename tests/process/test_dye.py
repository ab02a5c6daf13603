"""The numbers behind the dye. Setting it is tested in scenes.py: a limit can never be raised again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.process import dye, system

digests = st.text("0123456789abcdef", min_size=16, max_size=16)
indices = st.integers(0, dye.INDEX_LIMIT - 1)


def limits(run: int, index: int) -> tuple[int, int]:
    """What a process of this run and index would show, as `set_index` computes it."""
    found: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "set_rttime_limit", lambda soft, hard: not found.append((soft, hard)))
        dye.set_index(run, index)
    return found[0]


def shown(patch: pytest.MonkeyPatch, limit: tuple[int, int] | None, run_id: str | None = None) -> None:
    """Every process shows this limit and this environment cookie."""
    patch.setattr(system, "rttime_limit", lambda pid: limit)
    patch.setattr(system, "environment_value", lambda pid, name: run_id)


@given(digests, indices)
def test_an_index_comes_back(digest: str, index: int) -> None:
    """What was set is what is read."""
    run = dye.new_run_number(digest)
    with pytest.MonkeyPatch.context() as patch:
        shown(patch, limits(run, index))
        assert dye.index_of(1, run) == index


@given(digests, digests, indices)
def test_another_run_s_process_is_not_ours(digest: str, other: str, index: int) -> None:
    """Of another stack, or of another run of the same one."""
    run, foreign = dye.new_run_number(digest), dye.new_run_number(other)
    with pytest.MonkeyPatch.context() as patch:
        shown(patch, limits(foreign, index))
        assert (dye.index_of(1, run) is not None) == (run == foreign)


@given(digests, digests, indices, indices)
def test_ranges_never_collide(digest: str, other: str, one: int, two: int) -> None:
    """Two runs share no soft limit, whatever the indices: even that value alone would tell them apart."""
    run, foreign = dye.new_run_number(digest), dye.new_run_number(other)
    if run != foreign:
        assert limits(run, one)[0] != limits(foreign, two)[0]


@given(digests, digests, indices)
def test_the_stack_can_be_told(digest: str, other: str, index: int) -> None:
    """Without a state file, from any of its processes, and from no other stack's."""
    with pytest.MonkeyPatch.context() as patch:
        shown(patch, limits(dye.new_run_number(digest), index))
        assert dye.carries_stack(digest)(1)
        assert dye.carries_stack(other)(1) == (digest[:6] == other[:6])


@given(digests, indices)
def test_the_limit_is_inert(digest: str, index: int) -> None:
    """More than 70,000 years of CPU time, and within what the kernel can hold."""
    soft, hard = limits(dye.new_run_number(digest), index)
    assert dye.BASE <= soft <= hard < 2**62


@given(st.none() | st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**40)))
def test_an_ordinary_limit_is_no_dye(limit: tuple[int, int] | None) -> None:
    """None, or one that somebody set for what it is meant for."""
    with pytest.MonkeyPatch.context() as patch:
        shown(patch, limit)
        assert dye.index_of(1, dye.new_run_number("ab" * 8)) is None
        assert not dye.carries_stack("ab" * 8)(1)


def test_the_cookie_is_second_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that could not be dyed is told by its environment."""
    digest = "ab" * 8
    run = dye.new_run_number(digest)
    shown(monkeypatch, None, f"{digest}-7")
    assert dye.carries(run, f"{digest}-7")(1)
    assert not dye.carries(run, f"{digest}-8")(1)
    assert dye.carries_stack(digest)(1)
    assert not dye.carries_stack("cd" * 8)(1)


def test_no_process_carries_nothing() -> None:
    """A pid that does not exist is nobody's."""
    assert not dye.carries(dye.new_run_number("ab" * 8), "x")(2**22 + 1)
