"""The user's files: keys and preferences, good, damaged and absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.dashboard import keys, preferences
from tests.cli.driver import Project
from tests.dashboard.stage import opened, play


@pytest.fixture
def stack(shared_stack: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A stack that nobody here changes."""
    monkeypatch.setenv("DEVCTL_RUNTIME_DIR", shared_stack.environment["DEVCTL_RUNTIME_DIR"])
    return shared_stack


def test_keys_can_be_changed(stack: Project, tmp_path: Path) -> None:
    """The new key works, the old one does not; the footer and the help have the new one."""
    file = tmp_path / "my-keys.toml"
    file.write_text('follow = "ctrl+f"\npage_down = ["pagedown"]\n')

    async def scene() -> None:
        async with opened(stack, keys=file, home=tmp_path) as board:
            await board.until(lambda: board.state("worker") == "ready")
            await board.press("f")
            assert board.app.logs.view.follow
            await board.press("ctrl+f")
            assert not board.app.logs.view.follow
            await board.sees("^f follow")
            await board.press("question_mark")
            await board.sees("Ctrl-F")

    play(scene)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("follow = ", "is no TOML"),
        ('folow = "x"', "there is no command 'folow'"),
        ("follow = 7", "needs a key"),
        ("follow = []", "needs a key"),
        ('follow = "s"', "s is a key of start and of follow"),
        ("\x00", "is no TOML"),
    ],
)
def test_what_is_wrong_with_the_keys_is_said(tmp_path: Path, text: str, problem: str) -> None:
    """And the rest of the file counts."""
    file = tmp_path / "keys.toml"
    file.write_text(text)
    _, problems = keys.load(file)
    assert len(problems) == 1
    assert problem in problems[0]


@given(st.binary(max_size=200))
def test_no_file_breaks_the_keys(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever is in it."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_bytes(data)
    found, problems = keys.load(file)
    assert isinstance(found, dict)
    assert all(isinstance(problem, str) for problem in problems)


def test_no_key_has_two_meanings() -> None:
    """In the table as it is shipped."""
    taken = [key for row in keys.KEYS.values() for key in row.keys.split(",") if key]
    assert len(taken) == len(set(taken))


def test_problems_are_shown_and_do_no_harm(stack: Project, tmp_path: Path) -> None:
    """Both files damaged: said, ignored, and the preferences are written anew."""
    (tmp_path / "prefs.json").write_text("{")
    (tmp_path / "keys.toml").write_text("{")

    async def scene() -> None:
        async with opened(stack, home=tmp_path) as board:
            await board.until(lambda: board.state("worker") == "ready")
            notes = " ".join(note.message for note in board.app._notifications)
            assert "keys.toml is no TOML" in notes
            assert "prefs.json cannot be used" in notes
            await board.press("w")
        assert json.loads((tmp_path / "prefs.json").read_text())["wrap"] is True

    play(scene)


def test_switches_and_theme_are_remembered(stack: Project, tmp_path: Path) -> None:
    """In the next dashboard they are as they were."""

    async def scene() -> None:
        async with opened(stack, home=tmp_path) as board:
            await board.press("w", "t", "p", "c", "i")
            board.app.theme = "textual-light"
            await board.pilot.pause()
        async with opened(stack, home=tmp_path) as board:
            await board.pilot.pause()
            app = board.app
            assert (app.theme, app.logs.wrap, app.logs.timestamps, app.logs.pretty) == ("textual-light", True, "time", True)
            assert app.services.sort == "name"
            assert not app.details.display

    play(scene)


@given(
    st.dictionaries(
        st.sampled_from(["theme", "sort", "wrap", "timestamps", "detail", "services_width", "x"]), st.text() | st.integers()
    )
)
def test_values_of_a_wrong_type_are_left_out(tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]) -> None:
    """Each by itself."""
    file = tmp_path_factory.mktemp("prefs") / "p.json"
    file.write_text(json.dumps(data))
    found, problem = preferences.load(file)
    assert problem == ""
    default = preferences.Preferences()
    for name in ("theme", "sort", "wrap", "detail", "services_width"):
        assert type(getattr(found, name)) is type(getattr(default, name))


def test_places_of_the_files() -> None:
    """XDG's variables, when they are absolute."""
    assert keys.config_path({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/devctl/keys.toml")
    assert preferences.path_of({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/devctl/dashboard.json"
