"""The golden exchanges: each file holds its purpose (`why`), a request and the complete response.

`tests/test_exchanges.py` replays them. `python -m tests.exchanges.write` updates their responses.
"""

import json
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

HOST = "http://127.0.0.1:8000"  # the address of the service in the README

FILES = sorted(Path(__file__).parent.glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    """Read one exchange."""
    exchange: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return exchange


def answer(client: FlaskClient, exchange: dict[str, Any]) -> dict[str, Any]:
    """Send the request of an exchange. Return the response in the format of the file, with the headers listed there."""
    sent = exchange["request"]
    body = {"json": sent["body"]} if "body" in sent else {}
    response = client.open(sent["path"], HOST, method=sent["method"], headers=sent["headers"], **body)
    return {
        "status": response.status_code,
        "headers": {name: response.headers.get(name) for name in exchange.get("response", {}).get("headers", {})},
        "body": response.get_json() if response.data else None,
    }
