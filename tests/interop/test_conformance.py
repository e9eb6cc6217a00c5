"""The expected failures of the official conformance suite. `conformance/run.py` runs the suite."""

import pytest

from .conformance.run import EXPECTED_FAILURES, reasons

# Scenarios that a tools-only server must pass, whatever optional features it lacks.
MUST = (
    "server-",
    "tools-list",
    "tools-call-simple",
    "tools-call-error",
    "ping",
    "dns-",
    "http-",
    "json-schema-",
    "tasks-",
)
SESSIONS = {
    "server-sse-polling:server-sse-polling-session",
    "server-sse-multiple-streams:server-sse-multiple-streams-session",
}
# Only a tool that needs a client capability, or that takes a parameter from a custom header, can pass these.
NO_SUCH_TOOL = {
    "server-stateless:sep-2575-server-rejects-undeclared-capability",
    "server-stateless:sep-2575-missing-capability-http-400",
    "http-custom-header-server-validation:sep-2243-server-reject-invalid-param-chars",
    "http-custom-header-server-validation:sep-2243-server-reject-param-mismatch",
    "http-custom-header-server-validation:sep-2243-server-validate-param-match",
}

# This scenario of tasks begins with a question to the client.
TASKS = {"tasks-mrtr-composition:sep-2663-mrtr-synchronous-before-task-creation"}


def test_every_expected_failure_has_a_reason() -> None:
    """Ours: an entry without a reason is a failure that was never explained."""
    entries = reasons(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    assert len(entries) > 1
    assert [entry for entry, reason in entries.items() if len(reason) < 20] == []


def test_required_scenarios_are_not_expected_to_fail() -> None:
    """Ours: the only exceptions are optional sessions and features that no tool of this server uses."""
    exceptions = SESSIONS | NO_SUCH_TOOL | TASKS
    entries = reasons(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    assert [entry for entry in entries if entry.startswith(MUST) and entry not in exceptions] == []


@pytest.mark.parametrize("text", ["server:\n  - ping\n", "server:\n  - ping  # why\n  -  odd # why\n"])
def test_an_entry_without_a_reason_is_rejected(text: str) -> None:
    """Ours: every addition to the file has to be justified."""
    with pytest.raises(ValueError, match="without a reason"):
        reasons(text)
