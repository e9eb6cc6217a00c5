"""What a host is: a page, a way to start it from that page, and the quirks that the page documents."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from .conversation import Secure
from .machine import Machine
from .site import Running, Site


class Address(NamedTuple):
    """Where a host serves: a port of loopback, and the prefixes of the service's paths; and what runs there.

    Over HTTPS where it is `secure`; on a `machine` of its own, where a check has something to do there.
    """

    port: int
    running: Running
    prefixes: tuple[str, ...] = ("",)
    secure: Secure | None = None
    machine: Machine | None = None


Start = Callable[[Site], AbstractContextManager[Address]]


@dataclass(frozen=True, slots=True)
class Host:
    """A row of the table. `quirks` maps a step of the conversation to the words that come in place of ok.

    `check` looks at what the conversation does not show; it returns what it found as documented.
    """

    name: str
    page: str
    start: Start
    quirks: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Site, Address], str] | None = None
