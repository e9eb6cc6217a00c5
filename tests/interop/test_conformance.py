"""The list of what the official conformance suite may find missing. `conformance/run.py` runs the suite."""

import pytest

from .conformance.run import EXPECTED_FAILURES, reasons

# What a tools-only server must do, whatever else it lacks.
MUST = ("server-", "tools-list", "tools-call-simple", "tools-call-error", "ping", "dns-", "http-", "json-schema-")
SESSIONS = {
    "server-sse-polling:server-sse-polling-session",
    "server-sse-multiple-streams:server-sse-multiple-streams-session",
}
# What only a tool with a client capability or a parameter from a header of its own can show.
NO_SUCH_TOOL = {
    "server-stateless:sep-2575-server-rejects-undeclared-capability",
    "server-stateless:sep-2575-missing-capability-http-400",
    "http-custom-header-server-validation:sep-2243-server-reject-invalid-param-chars",
    "http-custom-header-server-validation:sep-2243-server-reject-param-mismatch",
    "http-custom-header-server-validation:sep-2243-server-validate-param-match",
}


def test_every_expected_failure_has_a_reason() -> None:
    """Ours: an entry without a reason is a failure that somebody gave up on."""
    entries = reasons(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    assert len(entries) > 1
    assert [entry for entry, reason in entries.items() if len(reason) < 20] == []


def test_nothing_that_a_tools_only_server_must_do_is_expected_to_fail() -> None:
    """Ours: only optional sessions, and what no tool here asks for, are excused there."""
    entries = reasons(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    assert [entry for entry in entries if entry.startswith(MUST) and entry not in SESSIONS | NO_SUCH_TOOL] == []


@pytest.mark.parametrize("text", ["server:\n  - ping\n", "server:\n  - ping  # why\n  -  odd # why\n"])
def test_an_entry_without_a_reason_is_refused(text: str) -> None:
    """Ours: so that the file cannot grow quietly."""
    with pytest.raises(ValueError, match="without a reason"):
        reasons(text)
