"""`devctl dashboard --web`: the same program in a real browser, and closed to everybody else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.cli.driver import Project, read_until

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
GUARD = 60.0

# Where CI is set nothing is skipped: a missing browser is a failure there.
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and "CI" not in os.environ, reason="needs the packages chromium and chromium-driver"
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1200,760",
)  # fmt: skip
STACK = "services: {db: {command: sleep 1000}, web: {command: sleep 1000, depends_on: [db]}}"


@pytest.fixture
def server(project: Project) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The web server on a running stack, and its address with the token."""
    project.write(STACK)
    assert project.run("up", "-d").returncode == 0
    process = project.start("dashboard", "--web")
    try:
        said = read_until(process, "the dashboard is at")
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said)
        assert found is not None, said
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A browser with a new, empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def painted(browser: Any) -> int:
    """How many different colours the terminal's canvas shows: an empty one has one."""
    script = """
        const canvas = document.querySelector('canvas.xterm-text-layer');
        if (!canvas) return 0;
        const copy = document.createElement('canvas');
        copy.width = canvas.width; copy.height = canvas.height;
        const context = copy.getContext('2d');
        context.drawImage(canvas, 0, 0);
        const data = context.getImageData(0, 0, copy.width, copy.height).data;
        const seen = new Set();
        for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
        return seen.size;
    """
    return int(browser.execute_script(script))


@needs_browser
def test_a_service_is_stopped_from_the_browser(project: Project, server: tuple[Any, str], browser: Any) -> None:
    """The dashboard is painted, its keys work, the token leaves the address bar, nothing comes from other hosts."""
    process, address = server
    browser.get(address)
    until(lambda: painted(browser) > 20)
    assert "token" not in browser.current_url
    origin = address.partition("/?")[0]
    requests = [entry["message"] for entry in browser.get_log("performance") if '"Network.requestWillBeSent"' in entry["message"]]
    urls = {url for message in requests for url in re.findall(r'"url":"(http[^"]+)"', message)}
    assert urls
    assert all(url.startswith(origin) for url in urls), urls
    keyboard = browser.find_element(By.CSS_SELECTOR, ".xterm-helper-textarea")
    keyboard.send_keys("j")
    keyboard.send_keys("x")
    until(lambda: project.states()["web"] == "stopped")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    visitors = psutil.Process(process.pid).children(recursive=True)
    assert visitors
    browser.close()
    until(lambda: not any(visitor.is_running() for visitor in visitors))
    assert project.states()["db"] == "ready"


@needs_browser
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.thorough), pytest.param(signal.SIGKILL, id="SIGKILL")]
)
def test_the_server_takes_its_dashboards_along(
    project: Project, server: tuple[Any, str], browser: Any, number: signal.Signals
) -> None:
    """However it ends; the stack goes on."""
    process, address = server
    browser.get(address)
    until(lambda: painted(browser) > 20)
    visitors = psutil.Process(process.pid).children(recursive=True)
    assert visitors
    process.send_signal(number)
    process.wait(GUARD)
    until(lambda: not any(visitor.is_running() for visitor in visitors))
    assert project.states() == {"db": "ready", "web": "ready"}


def test_nobody_else_gets_in(server: tuple[Any, str]) -> None:
    """Not without the token, with a wrong one, as another host (DNS rebinding), or from another page."""
    address = server[1]
    origin = address.partition("/?")[0]
    with httpx.Client(trust_env=False) as client:
        for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/?token=wrong", "/?token="):
            assert client.get(origin + path).status_code == 403, path
        assert client.get(address, headers={"Host": "evil.example"}).status_code == 403
        assert client.get(address, headers={"Origin": "http://evil.example"}).status_code == 403
        entered = client.get(address)
        assert entered.status_code == 303
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        page = client.get(origin + "/")
        assert page.status_code == 200
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "x" * 22 + "==",
        }
        assert client.get(origin + "/ws", headers={**upgrade, "Origin": "http://evil.example"}).status_code == 403


def test_ports_are_checked(project: Project) -> None:
    """One that is taken, and one that is none."""
    project.write(STACK)
    project.run("up", "-d")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = project.run("dashboard", "--web", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert project.run("dashboard", "--web", "99999").returncode == 2
