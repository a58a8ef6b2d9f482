"""Settings as options of a command line."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from hnas_nni.settings.setting import Setting, Settings

_METAVARS = {int: "N", float: "X"}


class OnceParser(argparse.ArgumentParser):
    """An argument parser in which an option that is given twice adds up or is refused, and never takes the last value.

    Those of several values add up. Abbreviations are not taken. An error is one line.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)
        self.options_seen: set[str] = set()
        for name in (None, "store"):
            self.register("action", name, _Store)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, as argparse does."""
        self.options_seen = set()
        return super().parse_known_args(args, namespace)


class _Store(argparse.Action):
    """Store what is given, and remember that it was."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        assert isinstance(parser, OnceParser)
        if self.option_strings and self.dest in parser.options_seen:
            if self.nargs not in ("+", "*"):
                raise argparse.ArgumentError(self, "given twice; give it once")
            values = [*getattr(namespace, self.dest), *values]
        parser.options_seen.add(self.dest)
        setattr(namespace, self.dest, values)


def add_options(
    parser: argparse.ArgumentParser, settings: type[Settings], shown: Mapping[str, str] | None = None
) -> dict[str, argparse._ArgumentGroup]:
    """Add an option for each setting of a class, under the headings of its statements.

    Parameters
    ----------
    parser
        Of the command.
    settings
        The class; :func:`given` reads what the user gave for it.
    shown
        Name -> what the help says in place of a default; a {} in it is the default.

    Returns
    -------
    dict
        Heading -> group of options, for further ones.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, (setting, default) in settings.stated().items():
        if setting.group not in groups:
            groups[setting.group] = parser.add_argument_group(setting.group)
        text = (shown or {}).get(name, "{}" if default is not None and setting.kind is not bool else "")
        action = add_option(groups[setting.group], name, setting, default, text)
        action.default = None
    return groups


def add_option(
    container: argparse._ActionsContainer, name: str, setting: Setting, default: Any, shown: str = "{}"
) -> argparse.Action:
    """Add the option of a setting.

    Parameters
    ----------
    container
        Parser or group.
    name
        Of the attribute that argparse gives the value.
    setting
        The statement.
    default
        What the attribute is if the option is not given.
    shown
        What the help says of the default, which is what a {} in it becomes.
    """
    more: dict[str, Any] = {}
    if setting.kind is bool:
        more["action"] = argparse.BooleanOptionalAction if setting.negatable else "store_true"
    else:
        more["type"] = setting.kind
        more["choices"] = setting.choices or None
        if setting.metavar or not setting.choices:
            more["metavar"] = setting.metavar or _METAVARS[setting.kind]
        if isinstance(default, tuple):
            more["nargs"] = "+"
    text = f"{setting.help} ({shown.format(in_words(default))})" if shown else setting.help
    return container.add_argument(setting.flag(name), dest=name, help=text, default=default, **more)


def given(options: argparse.Namespace, settings: type[Settings]) -> dict[str, Any]:
    """Return name -> value of the settings that the user gave."""
    found = {name: getattr(options, name) for name in settings.stated()}
    return {name: value for name, value in found.items() if value is not None}


def in_words(value: Any) -> str:
    """Return a value as a help text or a message shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
