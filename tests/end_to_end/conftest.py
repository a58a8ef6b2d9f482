"""A browser for NNI's web UI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import run_chromium
from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium with a window that shows a whole page."""
    with run_chromium(tmp_path_factory.mktemp("chromium"), "window-size=1400,1000") as chrome:
        yield chrome
