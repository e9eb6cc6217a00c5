"""Settings in environment variables: what they hold, or a refusal that names the one that cannot be used."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_QUOTES = "\"'"


class ConfigError(Exception):
    """A variable that this service cannot start with; the message names it and says what is wanted."""


@contextmanager
def or_exit() -> Iterator[None]:
    """End the program with one line where a setting cannot be used."""
    try:
        yield
    except ConfigError as error:
        sys.exit(refusal(error))


def refusal(error: ConfigError) -> str:
    """Return the line that says why the service does not start."""
    return f"scenext_service cannot start: {error}"


class Environment:
    """The variables that are set; a blank one is not. Each method raises ConfigError."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._set = {name: value.strip() for name, value in environ.items() if value.strip()}

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def text(self, name: str) -> str | None:
        """Return what a variable holds, None where it is not set."""
        given = self._set.get(name)
        if given and len(given) > 1 and given[0] == given[-1] and given[0] in _QUOTES:
            # A shell takes them away; an `--env-file` of Docker, an EnvironmentVariable of a panel and others do not.
            raise ConfigError(f"{name} must not be in quotes: they are part of its value here")
        return given

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Return the one of these that is meant, in whatever case."""
        given = self.text(name) or default
        for choice in choices:
            if given.lower() == choice.lower():
                return choice
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; it is {given!r}")

    def seconds(self, name: str, default: float, most: float) -> float:
        """Return a number of seconds above 0."""
        given = self.text(name)
        if given is None:
            return default
        try:
            number = float(given)
        except ValueError:
            number = -1
        if 0 < number <= most:  # NaN fails this comparison
            return number
        raise ConfigError(f"{name} must be a number of seconds above 0 and at most {most:g}; it is {given!r}")

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number."""
        given = self.text(name)
        if given is None:
            return default
        try:
            number = int(given)
        except ValueError:
            number = -1
        if least <= number <= most:
            return number
        raise ConfigError(f"{name} must be a whole number from {least} to {most}; it is {given!r}")

    def switch(self, name: str) -> bool:
        """Return whether something is on; it is off unless a variable says so."""
        given = self.text(name) or "0"
        try:
            return _SWITCH[given.lower()]
        except KeyError:
            raise ConfigError(f"{name} must be 1 or 0; it is {given!r}") from None
