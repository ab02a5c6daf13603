"""The page in a real browser: headless Chromium, driven through WebDriver by the keyboard, as a user without a mouse would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

# Where CI is set nothing is skipped: a missing browser is a failure there.
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and "CI" not in os.environ, reason="needs the packages chromium and chromium-driver"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1100,760",
)

# Seconds until a test gives up; only a hang meets it.
GUARD = 60


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A browser with a new, empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def wait(browser: Any, selector: str, count: int = 1) -> list[Any]:
    """The elements that `selector` matches, once there are `count` of them."""

    def enough(driver: Any) -> list[Any] | Literal[False]:
        found: list[Any] = driver.find_elements(By.CSS_SELECTOR, selector)
        return found if len(found) >= count else False

    found: list[Any] = WebDriverWait(browser, GUARD).until(enough, f"{count} of {selector}")
    return found


def test_a_message_is_typed_and_answered(trio: Any, browser: Any, tmp_path: Path) -> None:
    """The field has the focus; Enter sends; the answer comes with intent, agent and timings; all services are shown as well."""
    browser.get(trio.frontend.url)
    wait(browser, "#services [data-status=ok]", 3)
    browser.switch_to.active_element.send_keys("Is everything healthy?", Keys.ENTER)
    wait(browser, "#messages li.assistant")
    browser.switch_to.active_element.send_keys("<img src=x onerror=alert(1)> what does depends_on do?", Keys.ENTER)
    answers = wait(browser, "#messages li.assistant", 2)
    assert "Router and backend are healthy." in answers[0].text
    assert "intent ops.health" in answers[0].text
    assert "agent ops" in answers[0].text
    assert " ms in all" in answers[0].text
    assert "From docs/guide.md > Guide > Keys" in answers[1].text
    assert not browser.find_elements(By.CSS_SELECTOR, "#messages img")
    assert browser.find_element(By.CSS_SELECTOR, "#services-summary").text == "All services are well."
    browser.save_screenshot(str(tmp_path / "chat.png"))
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_a_new_conversation_begins_empty(trio: Any, browser: Any) -> None:
    """The button empties the page, and the router begins with a new history."""
    browser.get(trio.frontend.url)
    browser.switch_to.active_element.send_keys("hello", Keys.ENTER)
    wait(browser, "#messages li.assistant")
    before = browser.execute_script("return sessionStorage.getItem('session')")
    browser.find_element(By.ID, "new").click()
    assert not browser.find_elements(By.CSS_SELECTOR, "#messages li")
    browser.switch_to.active_element.send_keys("hello again", Keys.ENTER)
    wait(browser, "#messages li.assistant")
    assert browser.execute_script("return sessionStorage.getItem('session')") != before


def test_failures_are_shown_and_the_message_given_back(launcher: Any, browser: Any) -> None:
    """Without a backend the page says what is wrong, and the message stands in the field again."""
    frontend = launcher.start("frontend", BACKEND_URL=f"http://127.0.0.1:{launcher.port()}")
    browser.get(frontend.url)
    wait(browser, "#services [data-service=backend][data-status=unreachable]")
    browser.switch_to.active_element.send_keys("hello", Keys.ENTER)
    problem = wait(browser, "#problem:not([hidden])")[0]
    assert problem.text.startswith("The backend cannot be reached.")
    assert browser.find_element(By.ID, "message").get_property("value") == "hello"


def test_the_theme_is_remembered(trio: Any, browser: Any, tmp_path: Path) -> None:
    """The button turns the page dark, and a reload keeps it so."""
    browser.get(trio.frontend.url)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(background)
    browser.find_element(By.ID, "theme").click()
    dark = browser.execute_script(background)
    assert dark != light
    browser.refresh()
    assert browser.execute_script(background) == dark
    wait(browser, "#services [data-status=ok]", 3)
    browser.save_screenshot(str(tmp_path / "dark.png"))
