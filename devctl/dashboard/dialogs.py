"""Dialogs: a choice to make, and the help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from devctl.dashboard import keys


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its id, the key that gives it, and what it says."""

    id: str
    key: str
    words: str


class ChoiceDialog(ModalScreen[str | None]):
    """Asks for one of a few answers; Escape is none of them.

    Args:
        title: the question.
        body: what to know before answering.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "cancel"),
        Binding("q", "dismiss(None)", show=False),
    ]

    def __init__(self, title: str, body: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._body = body
        self._choices = list(choices)

    def compose(self) -> ComposeResult:
        options = [
            Option(Content.assemble((f" {keys.display(choice.key):>3} ", "bold $text-accent"), f" {choice.words}"), id=choice.id)
            for choice in self._choices
        ]
        with Vertical(classes="dialog"):
            yield Static(Content.from_markup("[b]$title[/b]", title=self._title), classes="title")
            if self._body:
                yield Static(Content(self._body), classes="body")
            yield OptionList(*options)
            yield Static("Enter chooses, Esc goes back", classes="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_key(self, event: events.Key) -> None:
        for choice in self._choices:
            if choice.key in (event.key, event.character):
                event.stop()
                self.dismiss(choice.id)
                return
        if event.key in ("j", "k"):
            event.stop()
            options = self.query_one(OptionList)
            (options.action_cursor_down if event.key == "j" else options.action_cursor_up)()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)


class HelpDialog(ModalScreen[None]):
    """Every command and its keys.

    Args:
        keymap: the user's own keys.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss(None)", "close"),
        Binding("j", "scroll('down')", show=False),
        Binding("k", "scroll('up')", show=False),
    ]

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog help"):
            yield Static(help_content(self._keymap))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, where: str) -> None:
        area = self.query_one(VerticalScroll)
        (area.scroll_down if where == "down" else area.scroll_up)(animate=False)


def help_content(keymap: Mapping[str, str]) -> Content:
    """The table of keys as a page."""
    width = max(len(keys.shown(name, keymap)) for name in keys.KEYS) + 2
    lines: list[Content] = []
    for group, rows in keys.GROUPS.items():
        lines += [Content(""), Content.styled(group, "bold underline")]
        lines += [Content.assemble((f"{keys.shown(key.id, keymap):<{width}}", "$text-accent"), key.words) for key in rows]
    lines += [
        Content(""),
        Content.styled("Mouse", "bold underline"),
        Content("click a service, a tab or a line; drag to select text, then y; the wheel scrolls, with Shift sideways"),
        Content(""),
        Content.styled("Your own keys", "bold underline"),
        Content(f'{keys.config_path()}: a line for each command, such as  restart = "ctrl+r"'),
        Content("the commands are called: " + ", ".join(keys.KEYS)),
    ]
    return Content("\n").join(lines[1:])
