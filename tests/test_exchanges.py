"""The golden exchanges of `exchanges/`, replayed, and the command that writes their answers anew."""

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from .exchanges import FILES, answer, load
from .exchanges.write import main, write

# Words of 2026-07-28 that a client of an older revision must never meet.
MODERN_WORDS = ("resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/")


def test_there_are_exchanges_of_both_eras() -> None:
    """Ours: an empty folder must not pass for a replayed one."""
    names = {path.stem.partition("-")[0] for path in FILES}
    assert {"legacy", "modern"} <= names


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_the_answer_is_the_golden_one(path: Path, client: FlaskClient) -> None:
    """Spec: as the exchange's own `why` says."""
    exchange = load(path)
    assert exchange["why"]
    assert answer(client, exchange) == exchange["response"]


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in FILES if p.stem.startswith("legacy-")])
def test_no_legacy_answer_has_a_modern_word(path: Path) -> None:
    """Spec: 2025-11-25, schema; the words came with 2026-07-28."""
    written = json.dumps(load(path)["response"])
    assert [word for word in MODERN_WORDS if word in written] == []


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_a_golden_answer_written_anew_is_the_same_file(path: Path, client: FlaskClient, tmp_path: Path) -> None:
    """Ours: CONTRIBUTING, "The tests": the difference shows what changed and nothing else."""
    copy = tmp_path / path.name
    copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert write(copy, client) == ""
    assert copy.read_bytes() == path.read_bytes()


def test_a_stale_answer_is_replaced_and_the_difference_shown(client: FlaskClient, tmp_path: Path) -> None:
    """Ours: CONTRIBUTING, "The tests"."""
    golden = next(path for path in FILES if path.stem == "legacy-ping")
    text = golden.read_text(encoding="utf-8")
    copy = tmp_path / golden.name
    copy.write_text(text.replace('"status": 200', '"status": 418'), encoding="utf-8")
    changed = [line for line in write(copy, client).splitlines() if line.startswith(("-", "+"))]
    assert changed[2:] == ['-    "status": 418,', '+    "status": 200,']
    assert copy.read_text(encoding="utf-8") == text


def test_a_check_writes_nothing_and_fails_where_an_answer_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: CONTRIBUTING, "The tests"; once it is written anew, nothing is left to tell."""
    golden = next(path for path in FILES if path.stem == "legacy-ping")
    copy = tmp_path / golden.name
    stale = golden.read_text(encoding="utf-8").replace('"status": 200', '"status": 418')
    copy.write_text(stale, encoding="utf-8")
    told = []
    for arguments, status in ((["--check"], 1), ([], 0), (["--check"], 0)):
        monkeypatch.setattr("sys.argv", ["write", *arguments])
        assert main([copy]) == status
        told.append('+    "status": 200,' in capsys.readouterr().out)
        assert (copy.read_text(encoding="utf-8") == stale) is (told == [True])
    assert told == [True, True, False]


def test_an_exchange_that_has_no_answer_yet_gets_one(client: FlaskClient, tmp_path: Path) -> None:
    """Ours: CONTRIBUTING, "The tests": a new one is why and a request."""
    exchange = load(next(path for path in FILES if path.stem == "legacy-ping"))
    response = exchange.pop("response")
    new = tmp_path / "new.json"
    new.write_text(json.dumps(exchange), encoding="utf-8")
    assert '+  "response": {' in write(new, client)
    assert load(new) == {**exchange, "response": {**response, "headers": {}}}
