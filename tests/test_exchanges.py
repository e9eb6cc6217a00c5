"""Replay the golden exchanges of `exchanges/`, and test the command that updates their responses."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from .exchanges import FILES, answer, load
from .exchanges.write import main, write

# Terms of 2026-07-28 that a client of an older revision must never receive.
MODERN_WORDS = ("resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/")


def test_there_are_exchanges_of_both_eras() -> None:
    """Ours: without exchanges, the tests below would pass vacuously."""
    names = {path.stem.partition("-")[0] for path in FILES}
    assert {"legacy", "modern"} <= names


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_the_answer_is_the_golden_one(path: Path, client: FlaskClient) -> None:
    """Spec: named in `why` of each exchange."""
    exchange = load(path)
    assert exchange["why"]
    assert answer(client, exchange) == exchange["response"]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in FILES if p.stem.startswith("legacy-")])
def test_no_legacy_response_has_a_modern_term(path: Path) -> None:
    """Spec: 2025-11-25, schema. These terms were introduced in 2026-07-28."""
    written = json.dumps(load(path)["response"])
    assert [word for word in MODERN_WORDS if word in written] == []


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_an_update_without_changes_keeps_the_file(path: Path, client: FlaskClient, tmp_path: Path) -> None:
    """Ours: docs/maintaining.md, "Generated files": the diff shows only the changes of responses."""
    copy = tmp_path / path.name
    copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert write(copy, client) == ""
    assert copy.read_bytes() == path.read_bytes()


def test_an_update_replaces_a_stale_response_and_returns_the_diff(client: FlaskClient, tmp_path: Path) -> None:
    """Ours: docs/maintaining.md, "Generated files"."""
    golden = next(path for path in FILES if path.stem == "legacy-ping")
    text = golden.read_text(encoding="utf-8")
    copy = tmp_path / golden.name
    copy.write_text(text.replace('"status": 200', '"status": 418'), encoding="utf-8")
    changed = [line for line in write(copy, client).splitlines() if line.startswith(("-", "+"))]
    assert changed[2:] == ['-    "status": 418,', '+    "status": 200,']
    assert copy.read_text(encoding="utf-8") == text


def test_a_check_fails_on_a_stale_response_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: docs/maintaining.md, "Generated files". After an update, the check passes and prints nothing."""
    golden = next(path for path in FILES if path.stem == "legacy-ping")
    copy = tmp_path / golden.name
    stale = golden.read_text(encoding="utf-8").replace('"status": 200', '"status": 418')
    copy.write_text(stale, encoding="utf-8")
    printed = []
    for arguments, status in ((["--check"], 1), ([], 0), (["--check"], 0)):
        monkeypatch.setattr("sys.argv", ["write", *arguments])
        assert main([copy]) == status
        printed.append('+    "status": 200,' in capsys.readouterr().out)
        assert (copy.read_text(encoding="utf-8") == stale) is (printed == [True])
    assert printed == [True, True, False]


def test_an_update_adds_a_missing_response(client: FlaskClient, tmp_path: Path) -> None:
    """Ours: docs/maintaining.md, "Generated files": a new exchange needs only `why` and a request."""
    exchange = load(next(path for path in FILES if path.stem == "legacy-ping"))
    response = exchange.pop("response")
    new = tmp_path / "new.json"
    new.write_text(json.dumps(exchange), encoding="utf-8")
    assert '+  "response": {' in write(new, client)
    assert load(new) == {**exchange, "response": {**response, "headers": {}}}
