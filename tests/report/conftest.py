"""A browser without a network, and a finished search with its report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_browser import ReportPage
from report_runs import ARCHITECTURES, write_run
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from hnas_nni.report.page import write_report
from hnas_nni.searches import open_search
from hnas_nni.searches.history import SearchHistory


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


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> SearchHistory:
    """A finished search."""
    return open_search(write_run(tmp_path_factory.mktemp("runs") / "x2").path).history()


@pytest.fixture(scope="session")
def report(history: SearchHistory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search's report; the last three architectures of its ranking have no pictures."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(history, path, published=True, pictures=ARCHITECTURES - 3)
    assert 'id="family"' not in path.read_text()  # one lambda
    return path
