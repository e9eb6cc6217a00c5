"""Parse environment variables, and report an invalid one by name."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_QUOTES = "\"'"


class ConfigError(Exception):
    """An invalid variable that prevents the start. The message states its name, the problem and the remedy."""


class InvalidValue(Exception):
    """The text of a variable is not a valid value. The message states the problem and the remedy in two sentences."""


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """Exit with a one-line message on ConfigError."""
    try:
        yield
    except ConfigError as error:
        sys.exit(startup_error(error))


def startup_error(error: ConfigError) -> str:
    """Return the message that states why the service does not start."""
    return f"scenext_service cannot start: {error}"


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a variable has a value. A blank one, as after a line `NAME=` in a `.env` file, counts as unset."""
    return bool(environ.get(name, "").strip())


def read(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    """Return the parsed value of a variable, `default` if it is unset. Raises ConfigError.

    `parse` receives the text without surrounding whitespace, and raises InvalidValue.
    """
    if not is_set(environ, name):
        return default
    text = environ[name].strip()
    try:
        if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
            # A shell removes quotes, but Docker's `--env-file`, the variables of a control panel and others keep them.
            raise InvalidValue("the value is in quotes, which are part of it here. Remove the quotes.")
        return parse(text)
    except InvalidValue as error:
        raise ConfigError(f"{name}: {error}") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser for one of the choices, ignoring case."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise InvalidValue(f"{text!r} is not valid. Use one of {', '.join(choices)}.")

    return parse


def seconds(maximum: float) -> Callable[[str], float]:
    """Return a parser for a number of seconds above 0."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1
        if 0 < number <= maximum:  # NaN fails this comparison
            return number
        raise InvalidValue(f"{text!r} is not valid. Use a number of seconds above 0 and at most {maximum:g}.")

    return parse


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser for an integer in this range."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if minimum <= number <= maximum:
            return number
        raise InvalidValue(f"{text!r} is not valid. Use a whole number from {minimum} to {maximum}.")

    return parse


def boolean(text: str) -> bool:
    """Parse 1 or 0, true or false, yes or no, on or off."""
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise InvalidValue(f"{text!r} is not valid. Use 1 or 0.") from None
