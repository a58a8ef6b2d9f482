"""The command line as one piece: what is called the same means the same, in every command."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_runs import write_run

from hnas_nni import HNAS_A, save
from hnas_nni.cli import COMMANDS, main, make_parser, subcommands

PARSERS = dict(subcommands(make_parser()))
_IDS = [" ".join(words) for words in PARSERS]

_FOR_PROGRAMS = {"data list", "data check", "search", "best", "show"} | {
    *("train", "evaluate", "compare", "upscale", "export", "import-weights"),
}
"""Commands whose answer is figures, or what became of many files: a program would read it."""

_COMPUTING = {"search", "train", "evaluate", "compare", "upscale", "report", "latency"}
_WITHOUT_NOTES = {"data list", "completion"}
"""Commands that show no progress and write nothing: all that they print is the result."""


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (action for action in parser._actions if action.option_strings and action.dest != "help")


def _by_option() -> dict[str, list[tuple[str, argparse.Action]]]:
    found = defaultdict(list)
    for words, parser in PARSERS.items():
        for action in _options(parser):
            for name in action.option_strings:
                found[name].append((" ".join(words), action))
    return found


def _has(option: str) -> set[str]:
    return {command for command, _ in _by_option()[option]}


def test_commands_stand_in_the_order_of_the_work() -> None:
    assert list(COMMANDS) == [
        *("data", "search", "best", "report", "show"),
        *("train", "evaluate", "compare", "upscale", "export", "import-weights", "latency", "completion"),
    ]


@pytest.mark.parametrize(("words", "parser"), PARSERS.items(), ids=_IDS)
def test_examples_of_every_command_are_accepted(
    words: tuple[str, ...], parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^  (hnas .*?)(?: {2,}.*)?(?: [>|] .*)?$", parser.epilog.split("examples:\n")[1], re.M)
    own = [example for example in examples if shlex.split(example)[1 : len(words) + 1] == list(words)]
    assert own, "no example of the command itself"
    for example in examples:
        make_parser().parse_args(shlex.split(example)[1:])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("words", "parser"), PARSERS.items(), ids=_IDS)
def test_every_argument_is_explained_in_one_style(words: tuple[str, ...], parser: argparse.ArgumentParser) -> None:
    assert parser.description
    for action in parser._actions:
        name = "/".join(action.option_strings) or action.dest
        assert action.help, f"{name}: has no help"
        assert not action.help.endswith("."), f"{name}: the help ends with a full stop"
        takes_value = action.nargs != 0
        assert not takes_value or action.metavar or action.choices, f"{name}: has neither a metavar nor choices"
        assert not action.metavar or action.metavar.upper() == action.metavar, f"{name}: metavar {action.metavar}"


def test_an_option_is_the_same_in_every_command() -> None:
    for name, uses in _by_option().items():
        kinds = {(type(action).__name__, action.type or str, action.dest) for _, action in uses}
        metavars = {action.metavar for _, action in uses}
        if name == "--out":
            assert metavars == {"FILE", "DIR"}
            metavars = {"FILE"}
        if name == "--data":
            # Paths as they were typed; some commands take one folder and others several.
            kinds = {kind[2:] for kind in kinds}
        assert len(kinds) == 1, f"{name}: {[(command, action.type, action.dest) for command, action in uses]}"
        assert len(metavars) == 1, f"{name}: {[(command, action.metavar) for command, action in uses]}"


@pytest.mark.parametrize("name", ["--json", "--force", "-q", "--quiet", "-v", "--verbose", "--self-ensemble"])
def test_switches_take_no_value(name: str) -> None:
    assert {type(action).__name__ for _, action in _by_option()[name]} == {"_StoreTrueAction"}


@pytest.mark.parametrize("name", ["--json", "--quiet", "--verbose", "--threads", "--working-dir", "--layers"])
def test_help_of_shared_options_does_not_contradict(name: str) -> None:
    texts = {re.sub(r" ?\(.*\)", "", action.help) for _, action in _by_option()[name]}
    assert len(texts) == 1, texts


def test_who_has_which_switches() -> None:
    everywhere = set(_IDS)
    assert _has("--verbose") == _has("-v") == everywhere
    assert _has("--json") == _FOR_PROGRAMS
    assert _has("--quiet") == _has("-q") == everywhere - _WITHOUT_NOTES
    # A search goes on in its folder and never replaces one.
    assert _has("--out") - {"search"} | {"evaluate"} == _has("--force")
    assert _has("--device") == _has("--threads") == _COMPUTING
    assert _has("--seed") == {"search", "train"}


@pytest.mark.parametrize("words", PARSERS, ids=_IDS)
def test_what_a_command_does_not_know_is_its_own_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = PARSERS[words]
    needed = [action for action in parser._actions if action.required]
    arguments = [text for action in needed for text in (*action.option_strings[-1:], *(action.choices or ["it"])[:1])]
    assert main([*words, *arguments, "--colour"]) == 2
    name = " ".join(["hnas", *words])
    assert capsys.readouterr().err == f"{name}: error: unrecognized arguments: --colour; see {name} --help\n"


@pytest.mark.parametrize("words", PARSERS, ids=_IDS)
def test_an_option_given_twice_adds_up_or_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = PARSERS[words]
    needed = [action for action in parser._actions if action.required]
    base = [text for action in needed for text in (*action.option_strings[-1:], *(action.choices or ["it"])[:1])]
    for action in _options(parser):
        if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
            continue
        values = list(action.choices or {"tile": ["off", "7"], "crop": ["0,0,9,9", "1,1,9,9"]}.get(action.dest, "12"))
        first, second = values[0], values[-1]
        name = action.option_strings[-1]
        rest = list(base)
        if name in rest:
            at = rest.index(name)
            del rest[at : at + 2]
        if action.nargs is None and not isinstance(action, argparse._AppendAction):
            with pytest.raises(SystemExit):
                parser.parse_args([*rest, name, first, name, second])
            assert f"{name}: given twice; give it once; see " in capsys.readouterr().err
        else:
            given = getattr(parser.parse_args([*rest, name, first, name, second]), action.dest)
            assert len(given) == 2 and given[0] != given[1]


@pytest.mark.slow
def test_quiet_prints_results_only_and_json_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With each command that leaves a file: --quiet does not say so, and --json is JSON alone."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    save(HNAS_A.build(scale=2, channels=2, layers=10), "model.safetensors")
    (tmp_path / "set").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save("set/it.png")
    for command, file in (
        (["best", "run", "--out", "it.json"], "it.json"),
        (["show", "HNAS-A", "--out", "it.svg"], "it.svg"),
        (["report", "run", "--out", "it.html"], "it.html"),
        (["evaluate", "model.safetensors", "--data", "set", "--csv", "it.csv"], "it.csv"),
        (["compare", "model.safetensors", "--data", "set", "--out", "it.png"], "it.png"),
        (["upscale", "model.safetensors", "set", "--out", "out"], "out/it.png"),
        (["export", "model.safetensors", "--out", "it.pt"], "it.pt"),
    ):
        assert main([*command, "--quiet", "--force"]) == 0
        printed = capfd.readouterr()
        assert printed.err == ""
        assert file not in printed.out
        assert Path(file).is_file()
        assert bool(printed.out) is (command[0] in {"best", "show", "evaluate"})  # whose results are text
        if command[0] in _FOR_PROGRAMS:
            assert main([*command, "--json", "--force"]) == 0
            printed = capfd.readouterr()
            assert printed.err == ""
            assert json.loads(printed.out)


def test_precision_has_the_same_names() -> None:
    (search, train) = (set(action.choices) for _, action in _by_option()["--precision"])
    assert search < train


def test_verbose_shows_where_an_error_arose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nowhere.json"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["show", "nowhere.json", "--verbose"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("hnas show: error: nowhere.json: no such file")


@pytest.mark.slow
def test_verbose_shows_the_log(tmp_path: Path) -> None:
    """Lightning's account of a training, which is left out otherwise."""
    tiny = [
        "--channels=1",
        "--layers=2",
        "--epochs=1",
        "--steps-per-epoch=1",
        "--batch=1",
        "--patch=24",
        "--data=images",
        "--quiet",
    ]
    (tmp_path / "images").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    code = (
        "import sys; from hnas_nni import Genotype; from hnas_nni.cli import main\n"
        "Genotype.random(1, layers=2).to_json('it.json')\n"
        "for out, more in (('loud', ['-v']), ('quiet', [])):\n"
        "    print(out, main(['train', 'it.json', '--out', out, *sys.argv[1:], *more]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *tiny], cwd=tmp_path, capture_output=True, text=True)
    loud, _, quiet = done.stderr.partition("loud 0\n")
    assert re.search(r"^INFO pytorch_lightning\S*: ", loud, re.M)
    assert quiet == "quiet 0\n"


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "hnas.bash"
    with path.open("w") as script:
        subprocess.run([sys.executable, "-m", "hnas_nni.cli", "completion", "bash"], stdout=script, check=True)
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hnas ev", {"evaluate"}),
        ("hnas data ", {"list", "fetch", "prepare", "check"}),
        ("hnas train --prec", {"--precision"}),
        ("hnas train --precision ", {"32", "16", "bf16"}),
        ("hnas show win", {"winner.json"}),
        ("hnas upscale winner.json pic", {"picture.png"}),
        ("hnas evaluate --data pi", {"pictures"}),
    ],
)
def test_bash_completes(bash_script: Path, tmp_path: Path, typed: str, offered: set[str]) -> None:
    """Asks bash itself: commands, options, values, files where files and folders where folders are meant."""
    (tmp_path / "pictures").mkdir()
    for name in ("winner.json", "picture.png"):
        (tmp_path / name).touch()
    code = """
        source "$1"; shift
        function=$(complete -p hnas | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        "$function" hnas "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", str(bash_script), *typed.split(" ")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    if typed.endswith("pic"):
        offered = {*offered, "pictures"}  # a folder of pictures will do as well
    assert set(done.stdout.split()) == offered


def test_the_script_for_zsh_knows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", script)
    assert "working-dir" in script and "--" in script


def test_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "'fish'" in error and "zsh" in error
