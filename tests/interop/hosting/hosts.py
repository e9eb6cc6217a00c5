"""A host: a page, a way to start it as that page describes, and the quirks that the page documents."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from .conversation import Secure
from .machine import Machine
from .site import Running, Site


class Address(NamedTuple):
    """The loopback port of a running host, and the prefixes of the service's paths.

    `secure` is set if the host serves HTTPS, and `machine` if a check needs the machine that the host runs on.
    """

    port: int
    running: Running
    prefixes: tuple[str, ...] = ("",)
    secure: Secure | None = None
    machine: Machine | None = None


Start = Callable[[Site], AbstractContextManager[Address]]


@dataclass(frozen=True, slots=True)
class Host:
    """A row of the table. `quirks` maps a step of the conversation to its documented outcome instead of ok.

    `check` tests behaviour beyond the conversation; it returns its findings in the words of the table.
    """

    name: str
    page: str
    start: Start
    quirks: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Site, Address], str] | None = None
