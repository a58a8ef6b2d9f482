"""NNI's web UI in a browser: what its tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

_PATIENCE = 120


class Page:
    """A page of the web UI. It draws itself anew every few seconds, so everything is looked up when needed."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition holds, and return what it returned."""
        ignored = (NoSuchElementException, StaleElementReferenceException)
        try:
            return WebDriverWait(self.browser, _PATIENCE, ignored_exceptions=ignored).until(lambda _: condition())
        except TimeoutException:
            pytest.fail(f"{what}; the page shows:\n{self.text()}")

    def text(self) -> str:
        """Return all text that can be seen."""
        return self.browser.find_element(By.TAG_NAME, "body").text

    def texts(self, selector: str) -> list[str]:
        """Return the texts of some elements, all of one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map(element => element.textContent)"
        return self.browser.execute_script(script, selector)

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element that holds a text, as soon as there is one."""
        script = (
            "const all = [...document.querySelectorAll(arguments[0])];"
            "const found = all.find(element => element.textContent.includes(arguments[1]));"
            "if (found) found.dispatchEvent(new MouseEvent('click', {bubbles: true})); return Boolean(found)"
        )
        self.wait(lambda: self.browser.execute_script(script, selector, text), f"no {selector} with {text!r}")

    def column(self, key: str) -> list[str]:
        """Return a column of the table of trials."""
        return self.texts(f".ms-DetailsRow [data-automation-key={key}]")

    def coloured_pixels(self, selector: str) -> int:
        """Count the pixels of a drawing that are neither white, grey nor black."""
        script = (
            "const canvas = document.querySelector(arguments[0]); if (!canvas || !canvas.width) return 0;"
            "const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            "let count = 0; for (let i = 0; i < data.length; i += 4) {"
            "const [r, g, b, a] = data.slice(i, i + 4);"
            "if (a > 128 && Math.max(r, g, b) - Math.min(r, g, b) > 50) count++ } return count"
        )
        return self.browser.execute_script(script, selector)

    def save_picture(self, path: Path) -> None:
        """Save what the window shows, for people who wonder about a failure."""
        assert self.browser.save_screenshot(str(path))
