"""Fixtures of the sign-in: an application in the sandbox with the endpoint, its clock, and a client of it."""

import pytest
from flask.testing import FlaskClient

from scenext_service import create_app
from scenext_service.config import Config
from scenext_service.scenext.sandbox.adapter import Sandbox
from scenext_service.tools.waiting import Clock
from tests.support.scripted import NOW
from tests.support.signing_in import SECRET, URL, Host


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def unix(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def config() -> Config:
    return Config(sandbox=True, oauth_url=URL, oauth_secret=(SECRET,))


@pytest.fixture
def client(config: Config, time: Time) -> FlaskClient:
    return client_of(config, time)


def client_of(config: Config, time: Time) -> FlaskClient:
    """Return a client of an application with this clock."""
    sandbox = Sandbox(clock=lambda: NOW, sleep=lambda seconds: None)
    return create_app(config, sandbox, Clock(unix=time.unix)).test_client()


@pytest.fixture
def host(client: FlaskClient) -> Host:
    return Host(client)
