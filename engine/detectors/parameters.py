"""What the parameters of all detectors have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType, NoneType, UnionType
from typing import Any, ClassVar, Final, Literal, Self, Union, get_args, get_origin, get_type_hints

from netsieve.engine.errors import TrainingError

KINDS: Final[Mapping[Any, str]] = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "nothing"}
)
"""What values of a type are called in errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers of which tuning tries some.

    Attributes
    ----------
    low, high
        Both are among them.
    logarithmic
        Whether numbers are drawn evenly by their logarithm.
    whole
        Whether only whole numbers are drawn.
    changes_loss
        Whether the held-out loss means something else for each number: then only labels can choose.
    """

    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False
    changes_loss: bool = False

    def grid(self, points: int) -> tuple[float, ...]:
        """Return so many numbers from low to high, evenly spaced on the range's scale."""
        if self.logarithmic:
            values = [self.low * (self.high / self.low) ** (i / (points - 1)) for i in range(points)]
        else:
            values = [self.low + (self.high - self.low) * i / (points - 1) for i in range(points)]
        return tuple(dict.fromkeys(round(value) if self.whole else value for value in values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Texts, numbers, truth values or None, of which tuning tries some.

    Attributes
    ----------
    values
        The choices.
    changes_loss
        Whether the held-out loss means something else for each choice: then only labels can choose.
    """

    values: tuple[str | float | bool | None, ...]
    changes_loss: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorParameters:
    """Parameters of a detector: a frozen dataclass, whose values are checked when it is made.

    Attributes
    ----------
    detector
        Name to call the detector by in errors.
    search_space
        What ``netsieve tune`` tries, by parameter.
    """

    detector: ClassVar[str] = "detector"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType({})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the parameters of a dict as :func:`dataclasses.asdict` makes it, lists standing for tuples.

        Raises
        ------
        TrainingError
            A name is no parameter, or a value is of another type or not allowed.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise TrainingError(f"{cls.detector} has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}")
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        hints = get_type_hints(cls)
        for name, value in given.items():
            if not is_of_type(value, hints[name]):
                raise TrainingError(f"{name} is {values[name]!r}; expected {described_type(hints[name])}")
        return cls(**given)

    def check(
        self,
        choices: Mapping[str, tuple[str, ...]] | None = None,
        conditions: Mapping[str, tuple[bool, str]] | None = None,
    ) -> None:
        """Raise where a parameter has none of its choices, or does not meet its condition.

        Parameters
        ----------
        choices
            Allowed values by parameter.
        conditions
            By parameter whether it holds, and what is expected.

        Raises
        ------
        TrainingError
            A value is not allowed.
        """
        for name, allowed in (choices or {}).items():
            if getattr(self, name) not in allowed:
                raise TrainingError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        for name, (valid, expected) in (conditions or {}).items():
            if not valid:
                raise TrainingError(f"{name} is {getattr(self, name)!r}; expected {expected}")


def is_of_type(value: Any, hint: Any) -> bool:
    """Whether a value is what a parameter's annotation says; whole numbers count as numbers, truth values do not."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(is_of_type(value, argument) for argument in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(is_of_type(part, arguments[0]) for part in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            is_of_type(key, arguments[0]) and is_of_type(part, arguments[1]) for key, part in value.items()
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def described_type(hint: Any) -> str:
    """Return what values of a parameter's annotation are called in errors."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return ", or ".join(described_type(argument) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return f"a list of which each is {described_type(arguments[0])}"
    if origin is dict:
        return f"a table of which each value is {described_type(arguments[1])}"
    return KINDS.get(hint, "any value")
