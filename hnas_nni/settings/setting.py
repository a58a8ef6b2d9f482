"""The one statement of a setting, and the base of the classes that hold settings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

Default = TypeVar("Default")
Own = TypeVar("Own", bound="Settings")
_KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """What a setting is; called with a default it is a field of a dataclass of :class:`Settings`.

    Parameters
    ----------
    kind
        int, float, bool or str; of a setting with several values, whose default is a tuple, that of each.
    help
        What it is, in a line that its option's help shows too.
    least, above, most, below
        Bounds of a number.
    choices
        All that it may be, where these are words.
    multiple_of
        Name of the setting that it must be a multiple of.
    test
        Called with the name that a message gives the setting, and a value; raises ValueError for a bad one. It takes
        the place of bounds and choices.
    give
        What to give, where bounds or choices don't say it well.
    locate
        Makes a path absolute, so that the setting means the same in any folder.
    optional
        None may be given although it is not the default.
    option
        Its name in the command line and in messages, if that is not the field's.
    metavar
        What the help calls its value; N or X for numbers.
    group
        Heading of its option in the help.
    negatable
        A switch that can be turned off, too.

    Examples
    --------
    >>> BATCH = Setting(int, "patches in a step", least=1)
    >>> @dataclass(frozen=True)
    ... class Training(Settings):
    ...     '''Settings of a training.'''
    ...
    ...     batch: int = BATCH(16)
    >>> Training(batch=0)
    Traceback (most recent call last):
    ValueError: --batch: 0 is not valid; give at least 1
    """

    kind: type
    help: str
    _: KW_ONLY
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    multiple_of: str = ""
    test: Callable[[str, Any], None] | None = None
    give: str = ""
    locate: Callable[[str], str] | None = None
    optional: bool = False
    option: str = ""
    metavar: str = ""
    group: str = ""
    negatable: bool = False

    def __call__(self, default: Default, **differing: Any) -> Default:
        """Return a dataclass's field of this setting.

        Parameters
        ----------
        default
            Of this class.
        **differing
            What of the statement differs in this class.
        """
        made: Any = field(default=default, metadata={_KEY: replace(self, **differing)})
        return made

    def flag(self, name: str) -> str:
        """Return the option of the setting whose field has a name."""
        return "--" + (self.option or name).replace("_", "-")

    def check(self, name: str, value: object) -> None:
        """Raise ValueError unless the setting may have a value.

        Parameters
        ----------
        name
            Of the setting, as the user gives it: "--batch", or "batch" in Python and YAML.
        value
            What was given.
        """
        if self.test is not None:
            self.test(name, value)
        elif not (self._fits(value) and self._within(value)):
            raise ValueError(f"{name}: {value!r} is not valid; give {self.give or self._wanted(name, value)}")

    def _fits(self, value: object) -> bool:
        """Whether a value is of the kind, a finite number if it is one, and among the choices."""
        if self.choices:
            return value in self.choices
        if self.kind is float:
            return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if self.kind is int:
            return isinstance(value, int) and not isinstance(value, bool)
        return self.kind is not bool or isinstance(value, bool)

    def _within(self, value: Any) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def _wanted(self, name: str, value: object) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        of_a_command = name.startswith("--")
        upper = f" to {self.most}" if self.most is not None else f" to below {self.below}"
        if self.most is not None or self.below is not None:
            bounds = f" from {self.least}{upper}"
        elif self.above is not None:
            bounds = f" above {self.above}"
        elif self.least is None:
            bounds = ""
        elif of_a_command and self._fits(value):
            return f"at least {self.least}"
        else:
            bounds = f" of at least {self.least}"
        number = "a number" if self.kind is float else "a whole number" if of_a_command else "an integer"
        return number + bounds


@dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose fields are settings: they are checked when one is made.

    What the class's own docstring does not say, its settings with their help, is added to it.

    Raises
    ------
    ValueError
        If a setting may not be what was given; the message names it, and says what to give.
    """

    as_options: ClassVar[bool] = True
    """Whether messages name settings as the command line does: "--patch" and not "patch"."""

    def __init_subclass__(cls) -> None:
        stated = {name: value.metadata[_KEY].help for name, value in vars(cls).items() if isinstance(value, Field)}
        lines = [line for name, text in stated.items() for line in (name, f"    {text}")]
        cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__ or ""), "", "Parameters", "----------", *lines])

    def __post_init__(self) -> None:
        for name, (_, default) in self.stated().items():
            value = getattr(self, name)
            if isinstance(default, tuple) and not isinstance(value, tuple):
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        self.check()

    @classmethod
    def stated(cls) -> dict[str, tuple[Setting, Any]]:
        """Return name -> statement and default of each setting."""
        return {field.name: (field.metadata[_KEY], field.default) for field in fields(cls)}

    @classmethod
    def flag(cls, name: str) -> str:
        """Return the option of the setting whose field has a name."""
        return cls.stated()[name][0].flag(name)

    @classmethod
    def named(cls, name: str) -> str:
        """Return what messages call the setting whose field has a name."""
        return cls.flag(name) if cls.as_options else cls.stated()[name][0].option or name

    def check(self) -> None:
        """Check each setting by itself, and against the one that it must be a multiple of.

        Raises
        ------
        ValueError
            If one is not valid.
        """
        for name, (setting, default) in self.stated().items():
            value = getattr(self, name)
            if value is None and (default is None or setting.optional):
                continue
            several = isinstance(default, tuple)
            for one in value if several else (value,):
                setting.check(self.named(name), one)
            if several and not value:
                raise ValueError(f"{self.named(name)}: give at least one {setting.metavar or 'value'}")
            if setting.multiple_of and (unit := getattr(self, setting.multiple_of)) and (value < unit or value % unit):
                what = f"give a multiple of the {setting.multiple_of} {unit}"
                raise ValueError(f"{self.named(name)}: {value} is not valid; {what}")

    def located(self: Own) -> Own:
        """Return the settings with absolute paths, so that they mean the same in any folder."""
        found = {}
        for name, (setting, _) in self.stated().items():
            value = getattr(self, name)
            if setting.locate and value is not None:
                found[name] = tuple(map(setting.locate, value)) if isinstance(value, tuple) else setting.locate(value)
        return replace(self, **found)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them; they make the same settings again."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
