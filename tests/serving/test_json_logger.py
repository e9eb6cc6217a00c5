"""gunicorn's own lines as JSON; that the shipped configuration asks for it is tested with a real server."""

import json
import logging

import pytest
from gunicorn.config import Config

from scenext_service.serving.json_logger import JsonLogger


def test_a_line_of_gunicorn_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: SCENEXT_LOG_FORMAT=json is for every line of the process."""
    log = logging.getLogger("gunicorn.error")  # one for the whole process, with handlers of pytest in it
    before = (log.handlers[:], log.level, log.propagate)
    log.handlers.clear()
    try:
        JsonLogger(Config()).info('Listening at: "%s"', "x\n")
    finally:
        log.handlers[:], log.level, log.propagate = before
    said = json.loads(capsys.readouterr().err)
    assert (said["level"], said["event"]) == ("info", 'Listening at: "x\n"')
