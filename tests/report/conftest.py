"""A browser without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from report_browser import ReportPage
from selenium.webdriver import Chrome, ChromeOptions, ChromeService


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium that resolves no host."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "these tests need Chromium and its driver: apt-get install chromium-driver"
    options = ChromeOptions()
    options.binary_location = chromium
    arguments = ("headless=new", "no-sandbox", "disable-dev-shm-usage", "host-resolver-rules=MAP * ~NOTFOUND")
    for argument in (*arguments, f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(driver))
    try:
        chrome.execute_cdp_cmd("Network.enable", {})
        chrome.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture
def page(chromium: Chrome) -> ReportPage:
    """The browser, with what reports need."""
    return ReportPage(chromium)
