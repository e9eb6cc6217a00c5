"""The golden exchanges: each file in `exchanges/` says why it exists, what is sent, and the whole answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

FILES = sorted((Path(__file__).parent / "exchanges").glob("*.json"))

# Words of 2026-07-28 that a client of an older revision must never meet.
MODERN_WORDS = ("resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/")


def load(path: Path) -> dict[str, Any]:
    exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return exchange


def test_there_are_exchanges_of_both_eras() -> None:
    """Ours: an empty folder must not pass for a replayed one."""
    names = {path.stem.partition("-")[0] for path in FILES}
    assert {"legacy", "modern"} <= names


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_the_answer_is_the_golden_one(path: Path, client: FlaskClient) -> None:
    """Spec: as the exchange's own `why` says."""
    exchange = load(path)
    sent, expected = exchange["request"], exchange["response"]
    body = {"json": sent["body"]} if "body" in sent else {}
    response = client.open(sent["path"], method=sent["method"], headers=sent["headers"], **body)
    received = {
        "status": response.status_code,
        "headers": {name: response.headers.get(name) for name in expected["headers"]},
        "body": response.get_json() if response.data else None,
    }
    assert exchange["why"]
    assert received == expected


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in FILES if p.stem.startswith("legacy-")])
def test_no_legacy_answer_has_a_modern_word(path: Path) -> None:
    """Spec: 2025-11-25, schema; the words came with 2026-07-28."""
    answer = json.dumps(load(path)["response"])
    assert [word for word in MODERN_WORDS if word in answer] == []
