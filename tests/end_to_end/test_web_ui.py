"""NNI's web UI in a real browser: what people see of a search, beside what NNI's REST API says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from miniature_search import REWARD, SETTINGS, TRIALS, final_metrics
from nni_experiment import RunningExperiment
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hnas_nni import Genotype

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium with a profile of its own."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "these tests need Chromium and its driver: apt-get install chromium-driver"
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1400,1000"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    chrome = Chrome(options=options, service=ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture
def detail(browser: Chrome, hnas_search: RunningExperiment) -> Page:
    """The page of all trials, with its table filled."""
    page = Page(browser, f"{hnas_search.url}/detail")
    page.wait(lambda: len(page.column("sequenceId")) == TRIALS, "not all trials are listed")
    return page


def shown_metrics(experiment: RunningExperiment) -> dict[str, float]:
    """Return the reward of each trial, by the trial's id."""
    return {id: metric["default"] for id, metric in final_metrics(experiment).items()}


def test_overview_shows_state_and_best_reward(browser: Chrome, hnas_search: RunningExperiment, tmp_path: Path) -> None:
    page = Page(browser, f"{hnas_search.url}/oview")
    best = page.wait(lambda: re.search(r"(\S+)\nBest metric", page.text()), "no best metric")
    assert float(best[1]) == pytest.approx(max(shown_metrics(hnas_search).values()), abs=1e-6)
    text = page.text()
    for expected in ("HNAS in miniature", hnas_search.id, "strategies.HierarchicalTuner", "DONE\nStatus"):
        assert expected in text
    page.save_picture(tmp_path / "overview.png")


def test_every_trial_is_listed_with_its_reward(detail: Page, hnas_search: RunningExperiment, tmp_path: Path) -> None:
    rewards = shown_metrics(hnas_search)
    jobs = {str(job["sequenceId"]): job["trialJobId"] for job in hnas_search.trials()}
    shown = dict(zip(detail.column("sequenceId"), detail.column("latestAccuracy"), strict=True))
    assert set(shown) == set(jobs)
    for number, text in shown.items():
        value, kind = text.split()[:2]
        assert kind.startswith("(FINAL)")
        assert float(value) == pytest.approx(rewards[jobs[number]], abs=1e-6)
    assert set(detail.column("status")) == {"SUCCEEDED"}
    detail.wait(lambda: detail.coloured_pixels("canvas") > 50, "the graph of rewards is empty")
    detail.save_picture(tmp_path / "trials.png")


def test_an_opened_trial_shows_a_readable_architecture(
    detail: Page, hnas_search: RunningExperiment, tmp_path: Path
) -> None:
    detail.click("[data-automation-key=_expand] i")
    detail.wait(lambda: "cost_scale" in detail.text(), "no parameters")
    shown: dict[str, Any] = {}
    for line in detail.text().splitlines():
        if match := re.fullmatch(r"([a-z]\w*(?:/\w+)?):\s*(\S+)", line):
            shown[match[1]] = json.loads(match[2])
    number = detail.column("sequenceId")[0]
    (job,) = [job for job in hnas_search.trials() if str(job["sequenceId"]) == number]
    assert shown == json.loads(job["hyperParameters"][0])["parameters"]
    assert shown["lambda"] == REWARD.weight
    assert isinstance(shown["normal/op_2_0"], str)
    sample = {label: value for label, value in shown.items() if label not in ("lambda", "cost_scale")}
    assert 1 <= Genotype.from_sample(sample).position <= SETTINGS.layers
    detail.save_picture(tmp_path / "trial.png")


def test_intermediate_psnrs_are_drawn(detail: Page, tmp_path: Path) -> None:
    detail.click("[role=tab]", "Intermediate result")
    detail.wait(lambda: "# Intermediate result" in detail.text(), "no graph of intermediate results")
    drawn = detail.wait(lambda: detail.coloured_pixels("canvas"), "the graph of intermediate results is empty")
    detail.save_picture(tmp_path / "intermediate.png")
    assert drawn > TRIALS * 10


def test_parallel_coordinates_have_the_position(detail: Page, tmp_path: Path) -> None:
    detail.click("[role=tab]", "Hyper-parameter")
    detail.wait(lambda: "upsample_position" in detail.texts("svg text"), "no axis of the position")
    labels = detail.texts("svg text")
    for axis in ("normal/op_2_0", "upsampling/input_5_1", "lambda", "psnr", "gmacs"):
        assert axis in labels
    for operation in ("sep_conv_5x5", "deconv"):
        assert operation in labels
    detail.wait(lambda: detail.coloured_pixels("canvas.foreground") > 1000, "no lines between the axes")
    detail.save_picture(tmp_path / "parameters.png")
