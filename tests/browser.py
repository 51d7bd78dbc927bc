"""Chromium without a screen and without a network, for tests of pages: Debian's, installed when it is missing, driven by selenium."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
INSTALL = (
    ("apt-get", "update", "-qq"),
    ("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES),
)
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
"""No sandbox: CI is root in a container, and the only pages are our own. No name is ever resolved."""


class Unavailable(Exception):
    """Why there is no browser here; a reason to skip, to be said out loud."""


def ready() -> tuple[str, str]:
    """The browser and its driver; as root on Debian they are installed first."""
    if not _found() and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in INSTALL:
            done = subprocess.run(
                command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False, timeout=900
            )
            if done.returncode:
                words = (done.stderr or done.stdout).strip().splitlines()
                raise Unavailable(f"{' '.join(PACKAGES)} could not be installed: {words[-1] if words else done.returncode}")
    found = _found()
    if not found:
        raise Unavailable("no chromium with its chromedriver; on Debian: apt-get install " + " ".join(PACKAGES))
    return found


def _found() -> tuple[str, str] | None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which(DRIVER)
    return (browser, driver) if browser and driver else None


class Browser:
    """One browser; every page is opened from a file, as somebody would who was sent it."""

    def __init__(self) -> None:
        browser, driver = ready()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for word in ARGUMENTS:
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        try:
            self.driver = webdriver.Chrome(options=options, service=Service(driver))
        except WebDriverException as e:
            raise Unavailable(f"chromium does not start here: {str(e.msg).strip().splitlines()[0]}") from None
        self.driver.set_page_load_timeout(60)

    def open(self, path: Path, width: int = 1280, dark: bool = False, media: str = "") -> None:
        """A page at a width, in a colour scheme, on the screen or as it would be printed."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.said()
        self.requests()
        self.driver.get(path.as_uri())

    def tell(self, command: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(command, parameters) or {}
        return answer

    def ask(self, expression: str, *values: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *values)

    def said(self) -> list[str]:
        """The console since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address asked for since the last time."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def printed(self) -> bytes:
        answer = self.tell("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(answer["data"])

    def shot(self, path: Path) -> None:
        """The whole page as a picture."""
        size = self.ask("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]))

    def close(self) -> None:
        self.driver.quit()
