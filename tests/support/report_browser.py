"""A report in a browser: what its tests look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

_PATIENCE = 120
WIDTHS = {"desktop": 1440, "phone": 390}


class ReportPage:
    """A report in a headless Chromium that can't reach any network."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, path: Path, *, width: int = 1440, theme: str = "light") -> None:
        """Open a file in a window of some width, and wait until its figures are drawn."""
        for kind in ("browser", "performance"):
            self.browser.get_log(kind)  # forget those of the page before
        phone = width < 600
        metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": phone}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.set_theme(theme)
        self.browser.get(path.resolve().as_uri())
        self.wait("return document.documentElement.dataset.ready")

    def set_theme(self, theme: str) -> None:
        """Let the user prefer light or dark pages."""
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def script(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, and return what it returns."""
        return self.browser.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something true, and return that."""
        return WebDriverWait(self.browser, _PATIENCE).until(lambda _: self.script(script, *arguments), script)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements that are shown."""
        return self.script(
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility())"
            ".map(e => e.textContent.trim())",
            selector,
        )

    def problems(self) -> list[str]:
        """Return what the browser's console says."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
