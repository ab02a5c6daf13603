"""The page in a real browser: headless Chromium through WebDriver, steered by the keyboard as a user without a mouse would."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

# Where CI is set nothing is skipped: a missing browser is a failure there.
needs_browser = pytest.mark.skipif(
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


# Texts of which the contrast with what is behind them is below 4.5:1 (WCAG 2.2, 1.4.3), fields and buttons without a name (4.1.2),
# and identities that two elements have.
_FAULTS = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
const faults = [];
const seen = new Set();
for (const element of document.querySelectorAll("body *")) {
  if (element.id && seen.has(element.id)) faults.push(`two elements are ${element.id}`);
  seen.add(element.id);
  if (!element.checkVisibility() || element.matches(":disabled")) continue;
  if (element.matches("input, textarea, select, button, a")) {
    const named = element.labels?.length || element.textContent.trim() || element.getAttribute("aria-label");
    if (!named) faults.push(`no name: ${element.outerHTML}`);
  }
  const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!text && !element.matches("input, textarea, select")) continue;
  const [one, other] = [getComputedStyle(element).color, behind(element)].map(luminance).sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
return faults;
"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a new, empty profile."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


class Page:
    """The assistant's page in a tab of its own, opened by a browser that was never here before.

    Args:
        driver: the browser.
        url: where the page is.
    """

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url
        before = driver.current_window_handle
        # What a tab remembers goes with it; what the browser remembers is cleared.
        driver.switch_to.new_window("tab")
        after = driver.current_window_handle
        driver.switch_to.window(before)
        driver.close()
        driver.switch_to.window(after)
        driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.get_log("browser")

    def open(self) -> None:
        """Go to the page and wait until it is signed in and connected, the cursor in the field."""
        self.driver.get(self.url)
        self.focus("message")
        self.until(lambda: self.value("connection", "dataset.state") == "open", "a connection")

    def until(self, condition: Callable[[], Any], what: str = "it") -> Any:
        """What `condition` returns, once that is true."""

        def met(_: Any) -> Any:
            # An element that the page has replaced in the meantime: look again.
            with contextlib.suppress(StaleElementReferenceException):
                return condition()

        try:
            return WebDriverWait(self.driver, GUARD, poll_frequency=0.05).until(met)
        except TimeoutException:
            pytest.fail(f"{what} never came; the page shows:\n{self.text('body')}")

    def find(self, selector: str, count: int = 1) -> list[Any]:
        """The elements that `selector` matches, once there are `count` of them."""

        def enough() -> list[Any]:
            found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return found if len(found) >= count else []

        found: list[Any] = self.until(enough, f"{count} of {selector}")
        return found

    def there(self, selector: str) -> bool:
        """Whether anything matches now."""
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        """The visible text of the first match; empty without one."""
        with contextlib.suppress(StaleElementReferenceException):
            for element in self.driver.find_elements(By.CSS_SELECTOR, selector)[:1]:
                return str(element.text)
        return ""

    def read(self, selector: str, text: str) -> None:
        """Return when `text` is in what the first match shows."""
        self.until(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def value(self, identity: str, name: str) -> Any:
        """A property of the element with this id."""
        return self.driver.execute_script(f"return document.getElementById({identity!r}).{name}")

    def focus(self, identity: str) -> None:
        """Return when the element with this id has the focus."""
        self.until(lambda: self.driver.switch_to.active_element.get_attribute("id") == identity, f"the focus in {identity}")

    def press(self, *keys: str) -> None:
        """Type, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def answers(self) -> list[Any]:
        """The answers that are whole."""
        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, "#messages > .assistant[data-state=done]")
        return found

    def ask(self, text: str) -> str:
        """Type a message and send it with Enter; what the answer shows, once it is whole."""
        before = len(self.answers())
        self.focus("message")
        self.press(text, Keys.ENTER)
        self.until(lambda: len(self.answers()) > before, f"an answer to {text!r}")
        self.until(lambda: not self.value("send", "disabled"), "the next turn")
        return str(self.answers()[-1].text)

    def faults(self) -> list[str]:
        """What makes the page as it is now hard to read, or hard to use without seeing it."""
        found: list[str] = self.driver.execute_script(_FAULTS)
        return found

    def complaints(self) -> list[str]:
        """What the browser's console has said since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
