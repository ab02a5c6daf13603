"""Takes the picture of the reference stack's page, docs/images/page.png, from the running stack in a headless Chromium.

Run it in the repository, with Chromium installed, while no stack of it runs: .venv/bin/python docs/images/page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from devctl import Stack

QUESTIONS = ("is everything healthy?", "why is the backend down?")
FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")


def main() -> None:
    """Asks, waits for the answers, takes the picture."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, "window-size=1100,860"):
        options.add_argument(f"--{flag}")
    with (
        Stack("services.yaml", auto_ports=True) as stack,
        webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver")) as browser,
    ):
        stack.wait_ready()
        browser.get(str(stack["frontend"].url))
        wait = WebDriverWait(browser, 30)
        for number, question in enumerate(QUESTIONS, 1):
            box = wait.until(lambda page: page.find_element(By.TAG_NAME, "textarea"))
            wait.until(lambda _, box=box: box.is_enabled())
            box.send_keys(question + Keys.ENTER)
            wait.until(lambda page, number=number: page.page_source.count("ms in all") >= number)
        browser.save_screenshot(str(Path(__file__).with_name("page.png")))


if __name__ == "__main__":
    sys.exit(main())
