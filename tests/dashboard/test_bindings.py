"""Every key of the table does what it says, on a real stack."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.command import CommandList
from textual.events import Paste
from textual.widgets import Input

from devctl.dashboard import keys
from devctl.dashboard.dialogs import ChoiceDialog, HelpDialog
from tests.cli.driver import Project
from tests.dashboard.stage import Board, opened, play

Scene = Callable[[Board], Awaitable[None]]
SCENES: dict[str, Scene] = {}


def scene(*names: str) -> Callable[[Scene], Scene]:
    """Registers a scene for the commands that it shows."""

    def register(act: Scene) -> Scene:
        for name in names:
            assert name not in SCENES
            SCENES[name] = act
        return act

    return register


def notes(board: Board) -> str:
    """What the dashboard has said."""
    return " ".join(note.message for note in board.app._notifications)


@scene("down", "up", "next_service", "previous_service", "home", "end")
async def moving_through_services(board: Board) -> None:
    assert board.app.selected == "db"
    for key, name in (
        ("j", "web"),
        ("down", "worker"),
        ("k", "web"),
        ("up", "db"),
        ("J", "web"),
        ("K", "db"),
        ("G", "worker"),
        ("g", "db"),
    ):
        await board.press(key)
        assert board.app.selected == name


@scene("next_pane", "previous_pane")
async def changing_panes(board: Board) -> None:
    seen = [board.app.pane]
    for _ in range(2):
        await board.press("tab")
        seen.append(board.app.pane)
    assert seen == ["services", "log", "detail"]
    await board.press("shift+tab")
    assert board.app.pane == "log"


@scene("page_down", "page_up")
async def paging_the_log(board: Board) -> None:
    logs = board.app.logs
    await board.until(lambda: len(logs.model) > 60)
    await board.press("pageup")
    assert not logs.view.follow
    first = logs.view.position[0]
    await board.press("pagedown")
    assert logs.view.position[0] > first


@scene("left", "right")
async def long_lines_move_sideways(board: Board) -> None:
    await board.press("tab", "slash", *"a long line", "enter")
    await board.until(lambda: board.app.logs.view.cursor is not None)
    await board.press("l")
    assert board.app.logs.view.left > 0
    await board.press("h")
    assert board.app.logs.view.left == 0


@scene("solo", "back")
async def solo_and_back(board: Board) -> None:
    await board.press("j", "enter")
    assert board.app.logs.solo == "web"
    assert all(record.service == "web" for record in shown(board))
    await board.press("enter")
    assert board.app.logs.solo is None
    await board.press("enter", "escape")
    assert board.app.logs.solo is None


def shown(board: Board) -> list[object]:
    """The records that are shown."""
    model = board.app.logs.model
    return [model.entry(index).record for index in range(len(model))]


@scene("stop", "start")
async def stop_and_start(board: Board) -> None:
    await board.press("G", "x")
    await board.until(lambda: board.state("worker") == "stopped")
    await board.press("s")
    await board.until(lambda: board.state("worker") == "ready")


@scene("restart")
async def restart(board: Board) -> None:
    before = board.app.view_of("worker")
    await board.press("G", "r")
    await board.until(lambda: board.app.view_of("worker").pid not in (None, before.pid))


@scene("restart_all")
async def restart_with_dependents(board: Board) -> None:
    before = {name: board.app.view_of(name).pid for name in ("web", "worker")}
    await board.press("j", "R")
    await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
    assert "worker" in board.text()
    await board.press("y")
    await board.until(lambda: all(board.app.view_of(name).pid not in (None, before[name]) for name in before))


@scene("signal")
async def signal(board: Board) -> None:
    await board.press("G", "S")
    await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
    await board.press("7")
    await board.until(lambda: board.state("worker") in ("failed", "backoff", "completed"))


@scene("wait")
async def wait(board: Board) -> None:
    await board.press("W")
    await board.until(lambda: "db is ready" in notes(board))


@scene("open")
async def open_url(board: Board) -> None:
    await board.press("j", "o")
    await board.until(lambda: "http://127.0.0.1:" in notes(board))
    await board.press("k", "o")
    await board.until(lambda: "has no URL" in notes(board))


@scene("attach")
async def attach(board: Board) -> None:
    await board.press("a")
    await board.until(lambda: "devctl exec db" in notes(board))


@scene("sort")
async def sort(board: Board) -> None:
    for _ in range(2):
        await board.press("c")
    assert board.app.services.sort == "worst"
    assert json.loads((board.app._preferences_path).read_text())["sort"] == "worst"


@scene("find_service")
async def find_service(board: Board) -> None:
    await board.press("F", *"work")
    await board.until(lambda: board.app.services.shown == ["worker"])
    await board.press("enter", "escape")
    assert board.app.services.shown == ["db", "web", "worker"]


@scene("search", "next_match", "previous_match")
async def search(board: Board) -> None:
    await board.press("slash", *"line 1", "enter")
    await board.until(lambda: board.app.logs.view.cursor is not None)
    first = board.app.logs.view.cursor
    await board.press("N")
    await board.until(lambda: board.app.logs.view.cursor < first)
    await board.press("n")
    await board.until(lambda: board.app.logs.view.cursor == first)
    assert "line 1" in board.app.logs.view.current_entry().record.text


@scene("filter")
async def filter_lines(board: Board) -> None:
    await board.press("ampersand", *"needle", "enter")
    await board.until(lambda: board.log_lines() == ["needle in the log"])
    await board.press("escape")
    assert len(board.log_lines()) > 5


@scene("follow")
async def follow(board: Board) -> None:
    await board.press("f")
    assert not board.app.logs.view.follow
    await board.until(lambda: board.app.logs.view.unseen > 2)
    await board.until(lambda: " new " in board.app.logs.status.words)
    await board.press("f")
    assert board.app.logs.view.follow


@scene("wrap")
async def wrap(board: Board) -> None:
    await board.press("w")
    assert board.app.logs.wrap
    await board.until(lambda: board.app.logs.view.look.width is not None)


@scene("times")
async def times(board: Board) -> None:
    await board.press("t")
    assert board.app.logs.timestamps == "time"
    await board.press("t", "t")
    assert board.app.logs.timestamps == "off"


@scene("level")
async def level(board: Board) -> None:
    await board.press("L")
    lines = board.log_lines()
    assert any("cannot reach" in line for line in lines)
    assert not any(line.startswith("line ") for line in lines)


@scene("stream")
async def stream(board: Board) -> None:
    await board.press("O", "O")
    assert board.app.logs.model.filter.stream == "stderr"
    assert {record.stream for record in shown(board)} == {"stderr"}


@scene("since")
async def since(board: Board) -> None:
    await board.press("T", *"23:59:59", "enter")
    await board.until(lambda: board.app.logs.model.filter.since is not None or "since" in board.app.logs.status.words)
    await board.press("T", *["backspace"] * 10, "enter")
    await board.until(lambda: board.app.logs.model.filter.since is None)


@scene("next_error", "previous_error")
async def errors(board: Board) -> None:
    await board.press("E")
    await board.until(lambda: board.app.logs.view.cursor is not None)
    last = board.app.logs.view.cursor
    await board.press("E")
    await board.until(lambda: board.app.logs.view.cursor < last)
    await board.press("e")
    await board.until(lambda: board.app.logs.view.cursor == last)


@scene("mark", "next_mark")
async def marks(board: Board) -> None:
    await board.press("tab", "k", "m")
    marked = board.app.logs.view.cursor
    assert marked in board.app.logs.model.marks
    await board.press("G", "apostrophe")
    assert board.app.logs.view.cursor == marked


@scene("pretty")
async def pretty(board: Board) -> None:
    await board.press("slash", *"slow query", "enter", "p")
    await board.sees("took: 0.25")


@scene("fold", "folds")
async def folds(board: Board) -> None:
    await board.press("P")
    await board.until(lambda: not any("boom()" in line for line in board.log_lines()))
    await board.press("slash", *"in <module>", "enter")  # hidden: the line that it belongs to is found
    await board.until(lambda: board.app.logs.view.cursor is not None)
    assert "cannot reach" in board.app.logs.view.current_entry().record.text
    await board.press("plus")
    await board.until(lambda: any("boom()" in line for line in board.log_lines()))


@scene("copy")
async def copy(board: Board) -> None:
    await board.press("slash", *"needle", "enter")
    await board.until(lambda: board.app.logs.view.cursor is not None)
    await board.press("y")
    assert board.app.clipboard == "needle in the log"


@scene("editor")
async def editor(board: Board) -> None:
    await board.press("slash", *"ValueError", "enter")
    await board.until(lambda: board.app.logs.view.cursor is not None)
    assert board.app.logs.location() == (str(board.app.context.logs.parent / "writer.py"), 2)
    await board.press("v")  # a pilot has no terminal to suspend: it says so instead
    await board.until(lambda: "needs a terminal" in notes(board))


@scene("save")
async def save(board: Board) -> None:
    target = board.app.context.logs.parent / "saved.txt"
    await board.press("ctrl+s", "ctrl+a", "ctrl+k")
    board.app.post_message(Paste(str(target)))
    await board.until(lambda: board.app.logs.prompt.query_one(Input).value == str(target))
    await board.press("enter")
    await board.until(target.exists)
    await board.until(lambda: "needle in the log" in target.read_text())


@scene("clear")
async def clear(board: Board) -> None:
    await board.press("C")
    assert not any("needle" in line for line in board.log_lines())
    await board.press("tab", "g")
    await board.until(lambda: any("needle" in line for line in board.log_lines()))


@scene("detail", "why", "timeline", "events", "health", "environment", "processes", "depends")
async def details(board: Board) -> None:
    await board.press("i")
    assert not board.app.details.display
    await board.press("i", "G")
    for key, tab, text in (
        ("1", "why", "worker is ready"),
        ("2", "timeline", "critical"),
        ("3", "events", "ready"),
        ("4", "health", ""),
        ("5", "environment", "API_TOKEN"),
        ("6", "processes", "sleep 1000"),
        ("7", "depends", "needs"),
    ):
        await board.press(key)
        assert board.app.details.tab == tab
        await board.until(lambda text=text: text in board.app.details.text)
    assert "hidden-thing" not in board.text()


@scene("zoom")
async def zoom(board: Board) -> None:
    await board.press("tab", "z")
    assert board.app.zoomed == "log"
    assert not board.app.services.display
    await board.press("z")
    assert board.app.services.display


@scene("wider", "narrower")
async def sizes(board: Board) -> None:
    before = board.app.services.outer_size.width
    await board.press("greater_than_sign")
    await board.until(lambda: board.app.services.outer_size.width > before)
    await board.press("less_than_sign")
    await board.until(lambda: board.app.services.outer_size.width == before)


def offered(board: Board) -> str:
    """What Enter would run from the palette."""
    found = board.app.screen.query_one(CommandList)
    return found.get_option_at_index(0).hit.text if found.highlighted == 0 else ""


@scene("palette")
async def palette(board: Board) -> None:
    before = board.app.view_of("web").pid
    await board.press("ctrl+p", *"restart web")
    await board.sees("restart web with its dependents")
    await board.until(lambda: offered(board) == "restart web")
    await board.press("enter")
    await board.until(lambda: board.app.view_of("web").pid not in (None, before))


@scene("help")
async def help_page(board: Board) -> None:
    await board.press("question_mark")
    await board.until(lambda: isinstance(board.app.screen, HelpDialog))
    await board.sees("down a line in the pane")
    await board.press("escape")
    assert not isinstance(board.app.screen, HelpDialog)


@scene("suspend")
async def suspend(board: Board) -> None:
    await board.press("ctrl+z")  # a pilot has no shell to go back to; test_terminal has
    assert board.app.is_running


@scene("detach")
async def detach(board: Board) -> None:
    await board.press("d")
    await board.until(lambda: not board.app.is_running)
    assert board.app.left
    assert board.app.return_value == 0


@scene("quit")
async def quit_and_stop(board: Board) -> None:
    await board.press("q")
    await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
    await board.press("s")
    await board.until(lambda: not board.app.is_running)
    assert "3 services" in board.app.farewell


@scene("interrupt")
async def interrupt(board: Board) -> None:
    await board.press("ctrl+c")
    await board.until(lambda: isinstance(board.app.screen, ChoiceDialog))
    await board.press("ctrl+c")
    await board.until(lambda: not board.app.is_running)
    assert board.app.return_value == 0


def test_every_command_has_a_scene() -> None:
    """A new key needs a scene here."""
    assert set(SCENES) == set(keys.KEYS)


# Scenes after which the stack is another one: each has one of its own.
STEERED = (stop_and_start, restart, restart_with_dependents, signal, palette, quit_and_stop, interrupt)


def show(stack: Project, act: Scene, home: Path) -> None:
    """Plays a scene on a dashboard that has just been opened."""

    async def run() -> None:
        async with opened(stack, home=home) as board:
            await board.until(lambda: board.state("worker") == "ready" and len(board.app.logs.model) > 12)
            await act(board)

    play(run)


@pytest.fixture
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing that could show a page."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("act", STEERED, ids=lambda act: act.__name__)
@pytest.mark.usefixtures("no_desktop")
def test_keys_that_steer(stack: Project, act: Scene, tmp_path: Path) -> None:
    """Each key has the effect on the stack that the help says."""
    show(stack, act, tmp_path)


@pytest.mark.parametrize("act", [act for act in dict.fromkeys(SCENES.values()) if act not in STEERED], ids=lambda act: act.__name__)
def test_keys(shared_stack: Project, act: Scene, tmp_path: Path, no_desktop: pytest.MonkeyPatch) -> None:
    """Each key has the effect on what is shown that the help says."""
    no_desktop.setenv("DEVCTL_RUNTIME_DIR", shared_stack.environment["DEVCTL_RUNTIME_DIR"])
    show(shared_stack, act, tmp_path)
