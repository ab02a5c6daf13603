"""The page in a real browser, on the real stack under devctl."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.cli.driver import Project
from tests.stack.conftest import Launcher
from tests.stack.oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider
from tests.stack.openai_server import OpenAIServer, answer, openai_server
from tests.stack.page import Page, chromium, needs_browser

pytestmark = needs_browser

ROOT = Path(__file__).parents[2]


class Stack:
    """The reference stack as its manifest has it, on free ports, with a language model that does what a test tells it."""

    def __init__(self, project: Project, model: OpenAIServer) -> None:
        self.project = project
        self.model = model
        self.url = f"http://127.0.0.1:{self.service('frontend')['ports']['default']}"

    def service(self, name: str) -> dict[str, Any]:
        """A service as devctl sees it."""
        services = self.project.json("status")["services"]
        return next(service for service in services if service["name"] == name)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Shared by the tests of this module. Those that stop a part of it wait until it is back."""
    project = Project(tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("rt") / "d")
    shutil.copy(ROOT / "services.yaml", project.root)
    for name in ("MCP_SERVERS", "REDIS_URL", "NATS_URL", "DATABASE_URL", "AUTH", "PUBLIC_URL"):
        project.environment.pop(name, None)
    with openai_server() as model:
        project.environment |= {
            "STACK_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "STACK_STATE": str(tmp_path_factory.mktemp("state")),
            "LLM_PROVIDERS": json.dumps([{"name": "tests", "url": model.url, "models": ["echo"]}]),
        }
        try:
            started = project.run("up", "-d", "--auto-ports")
            assert started.returncode == 0, started.stderr
            yield Stack(project, model)
        finally:
            project.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser; each test has a tab and a memory of its own in it."""
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(stack: Stack, browser: Any) -> Page:
    """The page, not opened yet."""
    return Page(browser, stack.url)


def test_a_visitor_is_signed_in_and_answered_over_several_turns(page: Page) -> None:
    """No click is needed; each answer tells intent, agent and timings; markup in a message stays text; the console stays empty."""
    page.open()
    assert page.text("#who") == "demo"
    health = page.ask("Is everything healthy?")
    assert "Everything is healthy" in health
    assert "intent ops.health" in health
    assert "agent ops" in health
    assert "first words after" in health
    assert " ms in all" in health
    docs = page.ask("<img src=x onerror=alert(1)> what does depends_on do?")
    assert "agent docs" in docs
    assert "Echo: tell me a joke" in page.ask("tell me a joke")
    assert len(page.find("#messages > .user")) == 3
    assert not page.there("#messages img")
    page.find("#services [data-status=ok]", 3)
    page.read("#services-summary", "All services are well.")
    assert page.complaints() == []


def test_words_appear_as_they_come_and_a_reload_goes_on(stack: Stack, page: Page) -> None:
    """What has come is shown before the rest is there. A reload keeps it and goes on to the end, with nothing twice."""
    page.open()
    page.ask("Is everything healthy?")
    stack.model.reset()
    stack.model.will(answer("one two three four", hold_after=2))
    page.press("tell me a short story", Keys.ENTER)
    page.read("#messages > [data-state=streaming]", "one two")
    page.driver.refresh()
    page.read("#messages > [data-state=streaming]", "one two")
    stack.model.release()
    page.until(lambda: len(page.answers()) == 2, "the end of the answer")
    assert page.answers()[1].find_element(By.CSS_SELECTOR, ".text").text == "one two three four"
    assert "agent chat" in page.answers()[1].text
    assert "Everything is healthy" in page.answers()[0].text
    assert len(page.find("#messages > .user")) == 2


def test_an_answer_can_be_stopped(stack: Stack, page: Page) -> None:
    """The button ends it, what was said stays, and the next message can be sent."""
    page.open()
    stack.model.reset()
    stack.model.will(answer("a very long story", hold_after=2))
    page.press("tell me a very long story", Keys.ENTER)
    page.read("#messages > [data-state=streaming]", "a very")
    page.press(Keys.TAB)
    assert not page.value("stop", "hidden")
    page.focus("stop")
    page.press(Keys.ENTER)
    page.read("#messages > [data-state=broken]", "The answer was stopped.")
    stack.model.release()
    assert "Everything is healthy" in page.ask("Is everything healthy?")


def test_a_new_conversation_begins_empty(page: Page) -> None:
    """The button empties the page, and the assistant begins with a new history."""
    page.open()
    page.ask("Is everything healthy?")
    page.driver.find_element(By.ID, "new").send_keys(Keys.ENTER)
    page.focus("message")
    assert not page.there("#messages > li")
    page.driver.refresh()
    page.focus("message")
    assert not page.there("#messages > li")


def test_accounts_by_keyboard_alone(page: Page) -> None:
    """Sign out, mistakes told in place, a new account, and nothing left of the conversation that another one had."""
    page.open()
    page.ask("Is everything healthy?")
    page.driver.find_element(By.ID, "sign-out").send_keys(Keys.ENTER)
    page.focus("account-name")
    page.press(Keys.ENTER)
    page.read("#sign-in-problem", "Give a name and a password.")
    page.press("ada", Keys.TAB, "not the password", Keys.ENTER)
    page.read("#sign-in-problem", "do not belong together")
    page.focus("password")
    page.press("correct horse battery", Keys.TAB, Keys.TAB)
    page.focus("register")
    page.press(Keys.ENTER)
    page.focus("message")
    assert page.text("#who") == "ada"
    assert not page.there("#messages > li")
    page.driver.refresh()
    page.focus("message")
    assert page.text("#who") == "ada"
    assert "Everything is healthy" in page.ask("Is everything healthy?")


def test_a_killed_service_shows_and_its_return(stack: Stack, page: Page) -> None:
    """The panel tells that the router is gone, and that devctl has restarted it; the conversation goes on without a reload."""
    page.open()
    page.ask("Is everything healthy?")
    os.kill(stack.service("router")["pid"], signal.SIGKILL)
    page.find("#services [data-service=router]:not([data-status=ok])")
    page.read("#services-summary", "router is")
    page.read("#services-summary", "All services are well.")
    assert "agent docs" in page.ask("what does depends_on do?")


def test_a_lost_connection_goes_on_where_it_was(stack: Stack, page: Page) -> None:
    """The page's own server is killed in the midst of an answer: the page comes back by itself, with every word once."""
    page.open()
    stack.model.reset()
    stack.model.will(answer("five six seven eight", hold_after=2))
    page.press("tell me a joke about numbers", Keys.ENTER)
    page.read("#messages > [data-state=streaming]", "five six")
    os.kill(stack.service("frontend")["pid"], signal.SIGKILL)
    page.find("#services [data-service=frontend][data-status=unreachable]")
    stack.model.release()
    page.until(page.answers, "the end of the answer")
    assert page.answers()[0].find_element(By.CSS_SELECTOR, ".text").text == "five six seven eight"
    page.read("#services-summary", "All services are well.")


def test_a_message_is_given_back_while_the_backend_is_away(stack: Stack, page: Page) -> None:
    """Nothing typed is lost: it stays in the field, and goes through when the backend is back."""
    page.open()
    assert stack.project.run("stop", "backend").returncode == 0
    try:
        page.find("#services [data-service=backend][data-status=unreachable]")
        page.press("Is everything healthy?", Keys.ENTER)
        page.read("#problem", "There is no connection")
        assert page.value("message", "value") == "Is everything healthy?"
    finally:
        assert stack.project.run("start", "backend", "frontend").returncode == 0
    page.until(lambda: page.value("connection", "dataset.state") == "open", "the connection")
    assert "Everything is healthy" in page.ask("")


def test_a_tool_waits_for_a_yes(stack: Stack, page: Page) -> None:
    """The dialog has the focus on the harmless answer and survives a reload; Escape is a no, and only a yes restarts it."""
    page.open()
    before = stack.service("router")["pid"]
    page.ask("restart router")
    page.focus("deny")
    assert "restart" in page.text("#confirm-title")
    assert "router" in page.text("#confirm-arguments")
    page.press(Keys.ESCAPE)
    page.find("#messages > .note")
    assert not page.there("dialog[open]")
    assert stack.service("router")["pid"] == before
    page.ask("restart router")
    page.focus("deny")
    page.driver.refresh()
    page.focus("deny")
    page.press(Keys.TAB, Keys.ENTER)
    page.find("#messages > .note", 2)
    page.until(lambda: stack.service("router")["pid"] not in (None, before), "another router")
    assert stack.project.run("wait", "router").returncode == 0


def test_the_theme_follows_the_system_until_one_is_chosen(page: Page) -> None:
    """Dark where the system is dark; a choice wins, and a reload keeps it."""
    page.open()
    background = "return getComputedStyle(document.body).backgroundColor"

    def system(theme: str) -> str:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        return str(page.driver.execute_script(background))

    light, dark = system("light"), system("dark")
    assert light != dark
    page.driver.find_element(By.ID, "theme").send_keys("Light")
    assert page.driver.execute_script(background) == light
    page.driver.refresh()
    assert page.driver.execute_script(background) == light
    assert page.value("theme", "value") == "light"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_and_used_by_name(page: Page, theme: str) -> None:
    """In both themes every text has enough contrast and every control a name: in the conversation, the dialog and the sign-in."""
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    page.open()
    page.ask("what does depends_on do?")
    assert page.faults() == []
    page.ask("stop the router")
    page.focus("deny")
    assert page.faults() == []
    page.press(Keys.ESCAPE)
    page.find("#messages > .note")
    page.driver.find_element(By.ID, "sign-out").send_keys(Keys.ENTER)
    page.focus("account-name")
    page.press(Keys.ENTER)
    page.read("#sign-in-problem", "Give a name and a password.")
    assert page.faults() == []


def test_it_fits_a_telephone(page: Page) -> None:
    """At 360 pixels nothing is cut off or needs scrolling sideways, and the field stays in view."""
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    )
    page.open()
    page.ask("what are the keys of a healthcheck?")
    beyond = """
      const inScroller = (element) => element.closest(".scrolled, .unseen, dialog");
      return [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility() && !inScroller(element))
        .filter((element) => element.getBoundingClientRect().right > 360)
        .map((element) => element.outerHTML.slice(0, 120));
    """
    assert page.driver.execute_script(beyond) == []
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 360
    assert page.driver.execute_script("return document.querySelector('#message').getBoundingClientRect().bottom") <= 640
    assert page.text("#services-short") == "all well"


def test_where_a_sign_in_is_required_the_provider_can_do_it(launcher: Launcher, browser: Any) -> None:
    """No demo account: the form, and a button that goes to the provider and comes back signed in. A failure is told in place."""
    port = launcher.port()
    with oidc_provider() as provider:
        backend = launcher.start(
            "backend",
            AUTH="required",
            PUBLIC_URL=f"http://127.0.0.1:{port}",
            OIDC_ISSUER=provider.issuer,
            OIDC_CLIENT_ID=CLIENT_ID,
            OIDC_CLIENT_SECRET=CLIENT_SECRET,
            OIDC_LABEL="Example",
        )
        frontend = launcher.start("frontend", port, BACKEND_URL=backend.url)
        page = Page(browser, frontend.url)
        page.driver.get(f"{frontend.url}/?sign_in=denied")
        page.focus("account-name")
        assert page.text("#sign-in-problem") == "The provider did not sign you in."
        assert page.driver.current_url == f"{frontend.url}/"
        assert page.text("#openid") == "Sign in with Example"
        page.driver.find_element(By.ID, "openid").send_keys(Keys.ENTER)
        page.focus("message")
        assert page.text("#who") == "Grace"
