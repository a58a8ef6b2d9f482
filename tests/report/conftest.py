"""A browser without a network, and a finished search with its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import run_chromium
from report_browser import ReportPage
from report_runs import ARCHITECTURES, write_run
from selenium.webdriver import Chrome

from hnas_nni.report.page import write_report
from hnas_nni.searches import open_search
from hnas_nni.searches.history import SearchHistory


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium that resolves no host."""
    with run_chromium(tmp_path_factory.mktemp("chromium"), "host-resolver-rules=MAP * ~NOTFOUND") as chrome:
        chrome.execute_cdp_cmd("Network.enable", {})
        chrome.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
        yield chrome


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
