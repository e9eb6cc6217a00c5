"""gunicorn's own lines in our form; that the shipped configuration asks for it is tested with a real server."""

import json
import logging
import re

import pytest
from gunicorn.config import Config

from scenext_service.serving.gunicorn_log import JsonLogger, LogfmtLogger


def said(kind: type[LogfmtLogger], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a logger of gunicorn writes of a line."""
    log = logging.getLogger("gunicorn.error")  # one for the whole process, with handlers of pytest in it
    before = (log.handlers[:], log.level, log.propagate)
    log.handlers.clear()
    try:
        kind(Config()).info('Listening at: "%s"', "x\n")
    finally:
        log.handlers[:], log.level, log.propagate = before
    return capsys.readouterr().err


def test_a_line_of_gunicorn_looks_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: one time format in all lines of the process."""
    line = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info "Listening at: \\"x\\n\\""\n'
    assert re.fullmatch(line, said(LogfmtLogger, capsys))


def test_a_line_of_gunicorn_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: SCENEXT_LOG_FORMAT=json is for every line of the process."""
    line = json.loads(said(JsonLogger, capsys))
    assert (line["level"], line["event"]) == ("info", 'Listening at: "x\n"')
