"""The detail pane: what it asks, when, and what it shows."""

from __future__ import annotations

from typing import Any

import pytest
from textual.geometry import Offset
from textual.selection import Selection
from textual.widgets import Static

from devctl.dashboard.pages.book import TABS
from devctl.errors import ControlError
from devctl.model import ServiceState
from tests.dashboard.detail_stage import TIME, play, service, stack, staged

S = ServiceState


def event(number: int, name: str | None, state: str = "ready") -> dict[str, Any]:
    return {"id": number, "time": TIME, "run_id": "r1", "type": "service_state", "service": name, "state": state}


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab != "depends"])
def test_each_tab_asks_its_question(tab: str) -> None:
    """What is on the screen is asked for, and nothing else."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.asked.clear()
            stage.pane.select_tab(tab)
            await stage.until(lambda: tab in [asked for asked, _ in stage.oracle.asked])
            assert {asked for asked, _ in stage.oracle.asked} == {tab}
            await stage.until(lambda: bool(stage.pane.text) and "asking" not in stage.pane.text)

    play(scene)


def test_a_hidden_pane_asks_nothing() -> None:
    """Only what is seen costs anything; when it is shown again it asks at once."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            box = stage.app.query_one("#box")
            box.display = False
            await stage.pilot.pause(0.1)
            stage.oracle.asked.clear()
            stage.pane.show("db")
            stage.pane.update(stack(service("db", S.FAILED), service("web", S.READY, "db")))
            await stage.pilot.pause(0.5)
            assert stage.oracle.asked == []
            box.display = True
            await stage.says("db is ready")

    play(scene)


def test_moving_through_services_asks_about_the_last() -> None:
    """Holding j down does not ask about every service on the way."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            names = [f"s{number}" for number in range(20)]
            stage.pane.update(stack(*map(service, names)))
            stage.oracle.asked.clear()
            for name in names:
                stage.pane.show(name)
            await stage.says("s19 is ready")
            assert stage.oracle.asked == [("why", "s19")]

    play(scene)


def test_an_answer_to_an_older_question_is_dropped() -> None:
    """The page is always about the service that is selected."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.gate.clear()
            await stage.until(lambda: ("why", "web") in stage.oracle.asked)
            stage.pane.show("db")
            await stage.until(lambda: ("why", "db") in stage.oracle.asked)
            stage.oracle.gate.set()
            await stage.says("db is ready")
            assert "web is ready" not in stage.pane.text

    play(scene)


def test_a_change_of_state_is_asked_about() -> None:
    """The reason shown is of now."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            answer = {"sentence": "web failed: exit 3", "evidence": [{"label": "log", "text": "boom"}], "chain": ["web", "db"]}
            stage.oracle.answers["why"] = lambda _: answer
            stage.pane.update(stack(service("db"), service("web", S.FAILED, "db", reason="exit 3")))
            await stage.says("web failed: exit 3")
            assert "web → db" in stage.pane.text
            assert "boom" in stage.pane.text

    play(scene)


def test_an_error_is_said_in_place() -> None:
    """Without an answer the error is the page, with what would mend it; when it passes, so does the page."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.failure = ControlError("the supervisor did not answer", "try again")
            stage.pane.select_tab("processes")
            await stage.says("the supervisor did not answer")
            assert "try again" in stage.pane.text
            stage.oracle.failure = None
            await stage.says("no processes")

    play(scene)


def test_a_lost_connection_keeps_the_last_answer_and_says_its_age() -> None:
    """What is known stays readable, and nobody takes it for new."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            stage.pane.set_link("lost", "the supervisor does not answer")
            await stage.until(lambda: "as of" in stage.bar())
            assert "web is ready" in stage.pane.text
            stage.oracle.asked.clear()
            stage.pane.set_link("connected", "")
            await stage.until(lambda: "as of" not in stage.bar() and stage.oracle.asked == [("why", "web")])

    play(scene)


def test_an_answer_of_another_shape_is_a_sentence() -> None:
    """A supervisor of another version crashes nobody."""

    async def scene() -> None:
        async with staged() as stage:
            for tab in ("why", "timeline", "health", "environment", "processes"):
                stage.oracle.answers[tab] = lambda _: {"surprise": None}
                stage.pane.select_tab(tab)
                await stage.says("cannot be read")

    play(scene)


def test_secrets_are_masked_before_they_are_kept() -> None:
    """Neither the page nor the pane's memory has them."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.answers["environment"] = lambda _: {
                "environment": {"DB_PASSWORD": "hunter2", "URL": "postgres://app:hunter2@db/x", "PLAIN": "yes"},
                "argv": ["run", "--token=hunter2"],
                "working_dir": "/srv",
            }
            stage.pane.select_tab("environment")
            await stage.says("PLAIN")
            assert "hunter2" not in stage.pane.text
            kept = stage.pane._answers.get(("environment", "web"))
            assert kept is not None
            assert "hunter2" not in repr(kept)

    play(scene)


def test_text_of_services_is_no_markup() -> None:
    """Brackets and escapes from a log are shown or dropped, never obeyed."""

    async def scene() -> None:
        async with staged() as stage:
            evil = "[red]x[/red] [@click=app.quit]y[/] \x1b]0;title\x07\x1b[2Jend"
            answer = {"sentence": "web failed", "evidence": [{"label": "log", "text": evil}], "chain": ["web"]}
            stage.oracle.answers["why"] = lambda _: answer
            stage.pane.update(stack(service("web", S.FAILED)))
            await stage.says("[red]x[/red] [@click=app.quit]y[/] end")

    play(scene)


def test_events_come_as_they_happen() -> None:
    """The old ones are asked for once, the new ones are told; the tab again shows those of all services."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.answers["events"] = lambda _: [event(1, "db"), event(2, "web", "starting")]
            stage.pane.select_tab("events")
            await stage.says("1 event of web")
            stage.pane.on_stack_event(event(3, "web", "unhealthy"))
            stage.pane.on_stack_event(event(3, "web", "unhealthy"))
            await stage.says("2 events of web")
            assert stage.pane.text.index("unhealthy") < stage.pane.text.index("starting")
            stage.pane.select_tab("events")
            await stage.says("3 events of all services")
            assert [asked for asked in stage.oracle.asked if asked[0] == "events"] == [("events", "")]

    play(scene)


def test_a_gap_in_the_events_is_filled() -> None:
    """When the supervisor says that some were missed, all are asked for anew."""

    async def scene() -> None:
        async with staged() as stage:
            stage.pane.select_tab("events")
            await stage.says("0 events")
            stage.oracle.answers["events"] = lambda _: [event(7, "web"), event(8, "web")]
            stage.pane.on_stack_event({"type": "gap", "after": 1, "resumes_at": 7})
            await stage.says("2 events of web")

    play(scene)


def test_a_new_run_is_asked_about_anew() -> None:
    """Nothing of the old run is shown for the new one."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.answers["events"] = lambda _: [event(1, "web")]
            stage.pane.select_tab("events")
            await stage.says("1 event of web")
            stage.oracle.answers["events"] = lambda _: [event(8, "web"), event(9, "web")]
            stage.pane.update(stack(service("web"), run_id="r2"))
            await stage.says("2 events of web")

    play(scene)


def test_the_timeline_grows_while_services_start() -> None:
    """Each state asks for the chart anew, and the service that is selected stands out."""

    async def scene() -> None:
        entry = {"service": "web", "waiting_from": 0.0, "started": None, "ready": None, "state": "waiting", "depends_on": ["db"]}
        async with staged() as stage:
            stage.oracle.answers["timeline"] = lambda _: [{**entry, "critical": False}]
            stage.pane.select_tab("timeline")
            await stage.says("waiting")
            stage.oracle.answers["timeline"] = lambda _: [
                {**entry, "started": 1.0, "ready": 3.0, "state": "ready", "critical": True}
            ]
            stage.pane.update(stack(service("web", S.STARTING)))
            await stage.says("all ready after 3.0 s; critical path: web")

    play(scene)


def test_depends_asks_nobody() -> None:
    """The trees and their states come from the status, and follow it."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            stage.oracle.asked.clear()
            stage.pane.select_tab("depends")
            await stage.says("└ db ready")
            stage.pane.update(stack(service("db", S.FAILED, reason="exit 1"), service("web", S.READY, "db")))
            await stage.says("└ db failed  exit 1")
            assert stage.oracle.asked == []

    play(scene)


def test_without_a_service_the_stack_is_shown() -> None:
    """The timeline and the events are of all; the other pages say what to do."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.answers["events"] = lambda _: [event(1, "db"), event(2, "web")]
            stage.pane.show(None)
            await stage.says("Select a service")
            stage.pane.select_tab("events")
            await stage.says("2 events of all services")

    play(scene)


def test_tabs_go_round_and_can_be_clicked() -> None:
    """Next, previous and the mouse."""

    async def scene() -> None:
        async with staged() as stage:
            stage.pane.previous_tab()
            assert stage.pane.tab == TABS[-1]
            stage.pane.next_tab()
            assert stage.pane.tab == TABS[0]
            await stage.pilot.pause()
            await stage.pilot.click("TabBar", offset=(stage.bar().index("health"), 0))
            assert stage.pane.tab == "health"
            with pytest.raises(ValueError, match="no tab"):
                stage.pane.select_tab("nope")

    play(scene)


@pytest.mark.parametrize(("width", "seen"), [(100, "5 environment"), (58, "  env  "), (24, "why 1/7")])
def test_the_bar_gives_way(width: int, seen: str) -> None:
    """In every width the chosen tab can be read."""

    async def scene() -> None:
        async with staged((width, 10)) as stage:
            await stage.says("web is ready")
            assert seen in stage.bar()
            assert len(stage.bar()) <= width

    play(scene)


@pytest.mark.parametrize("width", [100, 80, 58, 40])
def test_the_age_has_room_before_the_tabs(width: int) -> None:
    """That what is shown is old can be read in a narrow pane too."""

    async def scene() -> None:
        async with staged((width, 10)) as stage:
            await stage.says("web is ready")
            stage.pane.set_link("lost", "the supervisor does not answer")
            await stage.until(lambda: stage.bar().rstrip().endswith(" ago") and "why" in stage.bar())

    play(scene)


def test_selected_text_stays_where_it_is() -> None:
    """While somebody marks text to copy it the page holds still, and says so."""

    async def scene() -> None:
        async with staged() as stage:
            await stage.says("web is ready")
            page = stage.pane.query_one(Static)
            stage.app.screen.selections = {page: Selection(Offset(0, 0), Offset(3, 0))}
            stage.oracle.answers["why"] = lambda _: {"sentence": "web failed", "evidence": [], "chain": ["web"]}
            stage.pane.update(stack(service("web", S.FAILED)))
            await stage.until(lambda: "held" in stage.bar())
            assert stage.app.screen.get_selected_text() == "web"
            assert "web is ready" in stage.pane.text
            stage.app.screen.clear_selection()
            await stage.says("web failed")

    play(scene)


def test_a_long_page_scrolls() -> None:
    """By lines, to the end and back; another tab begins at its top."""

    async def scene() -> None:
        async with staged() as stage:
            stage.oracle.answers["environment"] = lambda _: {
                "environment": {f"VAR_{number:03d}": "x" for number in range(200)},
                "argv": ["run"],
                "working_dir": "/srv",
            }
            stage.pane.select_tab("environment")
            await stage.says("VAR_199")
            await stage.pilot.pause()
            body = stage.pane.query_one("VerticalScroll")
            stage.pane.move(3)
            await stage.until(lambda: body.scroll_y == 3)
            stage.pane.end()
            await stage.until(lambda: body.scroll_y == body.max_scroll_y > 100)
            stage.pane.home()
            await stage.until(lambda: body.scroll_y == 0)

    play(scene)
