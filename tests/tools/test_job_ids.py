"""The ids of tasks."""

import pytest

from scenext_service.tools.job_ids import JobId, job_of, make_task_id, parse

CREATED = 0x1A229472899
UUID = "0af76519-16cd-43dd-8448-eb211c80319c"


@pytest.mark.parametrize(
    ("job", "task_id"),
    [
        pytest.param("12345", "12345.1a229472899ef9c", id="number"),
        pytest.param("a.b", make_task_id("a.b", CREATED), id="with a dot"),
        pytest.param(make_task_id("1", 5), make_task_id(make_task_id("1", 5), CREATED), id="like a task's id"),
        pytest.param("x" * 128, make_task_id("x" * 128, CREATED), id="longest"),
    ],
)
def test_the_id_of_a_task_holds_the_job_and_its_creation(job: str, task_id: str) -> None:
    """Ours: no process needs to remember a task."""
    assert make_task_id(job, CREATED) == task_id
    assert parse(task_id) == JobId(job, CREATED)
    assert job_of(task_id) == job


def test_the_id_of_a_uuid_has_52_characters() -> None:
    """Ours: Claude Code 2.1.332 shows its model at most 128 characters of an id."""
    assert len(make_task_id(UUID, CREATED)) == 52


GOOD = make_task_id("12345", CREATED)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("12345", id="job"),
        pytest.param("1.2.3", id="job with dots"),
        pytest.param(GOOD[:-1], id="last digit missing"),
        pytest.param(f"{GOOD}0", id="one digit more"),
        pytest.param(f" {GOOD}", id="space before"),
        pytest.param(f"{GOOD}\n", id="newline after"),
        pytest.param(GOOD.upper(), id="upper case"),
        pytest.param(f"{GOOD[:-1]}d", id="wrong check"),
        pytest.param(GOOD.replace("12345", "12346"), id="another job"),
        pytest.param(GOOD.replace("1a2", "1a3"), id="another time"),
        pytest.param(make_task_id("", CREATED), id="no job"),
        pytest.param(make_task_id("..", CREATED), id="path"),
        pytest.param(make_task_id("a/b", CREATED), id="slash"),
        pytest.param(make_task_id("x" * 129, CREATED), id="job too long"),
    ],
)
def test_a_changed_id_is_not_understood(text: str) -> None:
    """Ours: a slip is rejected without a request to Scenext. Any other text is passed on unchanged."""
    assert parse(text) is None
    assert job_of(text) == text
