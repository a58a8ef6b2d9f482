"""A NAS experiment in NNI's web page, in a real browser: the choices of the space and those of each trial."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from nni_experiment import RunningExperiment, free_port
from selenium.webdriver import Chrome
from web_ui import Page

from hnas_nni import Genotype
from hnas_nni.cost import count
from search_spaces import decision_labels

pytestmark = pytest.mark.nni

CHANNELS, LAYERS, TRIALS = 2, 3, 2
_SLOW_SERVER = "Create experiment failed"
_ATTEMPTS = 5
"""NNI gives its web server some seconds to start, too few on a busy machine."""

SCRIPT = f'''
"""What a user writes, and "done" between the search and the end."""
import sys, time
from pathlib import Path
from nni.nas.strategy import Random
from hnas_nni.trial.evaluator import SuperResolution
from search_spaces import HNASSpace, MendedNasExperiment

if __name__ == "__main__":
    space = HNASSpace(scale=2, channels={CHANNELS}, layers={LAYERS})
    evaluator = SuperResolution(
        patch_size=24, batch=2, steps_per_epoch=2, measured_patches=2, limit=1, accelerator="cpu"
    )
    experiment = MendedNasExperiment(space, evaluator, Random(), loopback_only=True)
    experiment.config.max_trial_number = {TRIALS}
    experiment.config.trial_gpu_number = 0
    experiment.config.experiment_working_directory = sys.argv[2]
    experiment.run(port=int(sys.argv[1]))
    (best,) = experiment.export_top_models(1, formatter="dict")
    print("done", experiment.id, best["upsample_position"], flush=True)
    while not Path("end").exists():
        time.sleep(0.2)
    experiment.stop()
'''


@pytest.fixture(scope="module")
def nas_search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExperiment]:
    """A real NAS experiment of NNI's random strategy, done but not stopped."""
    for _ in range(_ATTEMPTS):
        folder = tmp_path_factory.mktemp("nas_search")
        home, experiments, log = folder / "home", folder / "experiments", folder / "search.log"
        home.mkdir()
        experiments.mkdir()
        (folder / "search.py").write_text(SCRIPT)
        port = free_port()
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "search.py", str(port), str(experiments)],
                cwd=folder,
                env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        family = psutil.Process(process.pid)
        try:
            while process.poll() is None and "\ndone " not in log.read_text():
                time.sleep(0.3)
            if found := re.search(r"^done (\w+)", log.read_text(), re.MULTILINE):
                yield RunningExperiment(found[1], port, home, experiments)
                (folder / "end").touch()
                process.wait()
                return
        finally:
            with suppress(psutil.NoSuchProcess):
                for member in [*family.children(recursive=True), family]:
                    member.kill()
            process.wait()
        if _SLOW_SERVER not in log.read_text():
            break
    pytest.fail(f"the search ended early:\n{log.read_text()[-3000:]}")


def test_the_server_is_for_this_machine_alone(nas_search: RunningExperiment) -> None:
    """It listens on loopback, and NNI names no other address; without the switch both are of every interface."""
    assert nas_search.listening() == {"127.0.0.1"}
    log = (nas_search.directory / "log" / "experiment.log").read_text()
    assert re.findall(r"http://(\S+?):", log) == ["127.0.0.1"]


def jobs(experiment: RunningExperiment) -> dict[str, dict[str, Any]]:
    """Return what NNI's REST API says of each trial's parameters, by the trial's number."""
    return {str(job["sequenceId"]): json.loads(job["hyperParameters"][0])["parameters"] for job in experiment.trials()}


def test_parameters_are_small_and_without_a_pickle(nas_search: RunningExperiment) -> None:
    for parameters in jobs(nas_search).values():
        text = json.dumps(parameters)
        assert len(text) < 4000
        assert "bytes:" not in text and "__nni_obj__" not in text
        assert Genotype.from_sample(parameters["sample"]) == Genotype.from_sample(parameters["mutation_summary"])


def test_every_choice_is_in_the_search_space(nas_search: RunningExperiment) -> None:
    space = nas_search.rest("experiment")["params"]["searchSpace"]
    assert set(space) == set(decision_labels())
    assert space["upsampling/input_5_1"]["_value"] == [0, 1, 2, 3, 4]


@pytest.fixture
def detail(browser: Chrome, nas_search: RunningExperiment) -> Page:
    """The page of all trials, with its table filled."""
    page = Page(browser, f"{nas_search.url}/detail")
    page.wait(lambda: len(page.column("sequenceId")) == TRIALS, "not all trials are listed")
    return page


def test_an_opened_trial_shows_its_architecture(detail: Page, nas_search: RunningExperiment, tmp_path: Path) -> None:
    detail.click("[data-automation-key=_expand] i")
    detail.wait(lambda: "upsample_position" in detail.text(), "no parameters")
    shown = {
        match[1]: json.loads(match[2])
        for line in detail.text().splitlines()
        if (match := re.fullmatch(r"([a-z]\w*(?:/\w+)?):\s*(\S+)", line))
    }
    assert set(shown) == set(decision_labels())
    genotype = Genotype.from_sample(shown)
    number = detail.column("sequenceId")[0]
    assert genotype == Genotype.from_sample(jobs(nas_search)[number]["sample"])
    (job,) = [job for job in nas_search.trials() if str(job["sequenceId"]) == number]
    metric = json.loads(json.loads(job["finalMetricData"][0]["data"]))
    assert metric["gmacs"] == pytest.approx(count(genotype, 2, CHANNELS, LAYERS).gmacs)
    detail.save_picture(tmp_path / "trial.png")


def test_every_choice_has_an_axis_with_its_values(detail: Page, nas_search: RunningExperiment, tmp_path: Path) -> None:
    detail.click("[role=tab]", "Hyper-parameter")
    detail.wait(lambda: "upsample_position" in detail.texts("svg text"), "no axis of the position")
    labels = detail.texts("svg text")
    assert set(decision_labels()) <= set(labels)
    assert not {"status", "model_symbol", "sample", "undefined"} & set(labels)
    for operation in ("sep_conv_5x5", "deconv"):
        assert operation in labels
    detail.wait(lambda: detail.coloured_pixels("canvas.foreground") > 1000, "no lines between the axes")
    detail.save_picture(tmp_path / "parameters.png")
