"""`docs/scale.md`: how many are needed follows from what one of them holds."""

import math

from scenext_service.tools.waiting import ASK_EVERY
from tests.interop.fleet.alone import CALLERS
from tests.interop.fleet.run import ACTIVE, PATIENT
from tests.support import pages

TEXT = pages.page("docs/scale.md")
WAIT, TURN, JOB = 50, 5, 15 * 60  # seconds
QUESTIONS = 5  # in a wait
GEVENT = 2 * 2000  # SCENEXT_WAITING_CALLS of docs/deploy/server.md, in two processes
MEMORY = 94  # MB of an instance that is full


def row(people: int) -> list[str]:
    """Return the row for so many people who each wait for one video."""
    waiting = people * WAIT / (WAIT + TURN)
    instances = math.ceil(waiting / CALLERS)
    memory = instances * MEMORY
    videos = people / JOB
    return [
        f"{people:,}",
        f"{waiting:,.0f}",
        f"{instances:,}",
        f"{math.ceil(waiting / GEVENT):,}",
        f"{memory} MB" if memory < 1000 else f"{memory / 1000:.{1 if memory < 10_000 else 0}f} GB",
        f"{people * QUESTIONS / (WAIT + TURN):,.0f}",
        f"{videos:.1f}" if videos < 1 else f"{videos:,.0f}",
    ]


def test_the_table_is_the_arithmetic() -> None:
    """Ours: a figure of one instance that changes must change all of them."""
    (table,) = [found for found in pages.tables(TEXT) if found.headings[-1] == "How many are needed"]
    assert table.rows == [row(people) for people in (100, 10_000, 1_000_000)]


def test_the_figures_are_those_of_the_program_that_prints_them() -> None:
    """Ours: how many wait, and how many call."""
    one = next(found for found in pages.tables(TEXT) if found.headings[-1] == "One instance").rows
    assert one[0][1].startswith(f"{CALLERS} of its 1,000 places")
    assert f" {MEMORY} MB with these calls" in one[1][1]
    assert f"while {ACTIVE + PATIENT} callers" in TEXT
    assert f"one in {(WAIT + TURN) / QUESTIONS:.0f} seconds" in TEXT


def test_the_questions_of_a_wait_are_as_many_as_the_code_puts() -> None:
    """Ours: the first, one each 15 s from between 7.5 and 15 s on, and one before the end."""
    earliest, latest = ASK_EVERY / 2, ASK_EVERY
    assert [1 + len(range(0, int(WAIT - 2 - first), int(ASK_EVERY))) + 1 for first in (earliest, latest)] == [
        QUESTIONS,
        QUESTIONS,
    ]
