"""`docs/scale.md`: the number of instances follows from the capacity of one instance."""

import math

from scenext_service.tools.waiting import POLL_INTERVAL
from tests.interop.fleet.alone import CALLERS
from tests.interop.fleet.repeats import CALLERS as DOUBLED
from tests.interop.fleet.run import ACTIVE, PATIENT
from tests.support import pages

TEXT = pages.page("docs/scale.md")
WAIT, TURN, JOB = 50, 5, 15 * 60  # seconds
QUESTIONS = 5  # upstream queries in one wait
GEVENT = 2 * 2000  # SCENEXT_WAITING_CALLS of docs/deploy/server.md, in two processes
MEMORY = 123  # MB of an instance at full capacity


def row(people: int) -> list[str]:
    """Return the table row for the given number of people who each wait for one video."""
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


def test_the_table_follows_from_the_capacity_of_one_instance() -> None:
    """Ours: if a figure of one instance changes, all rows must change."""
    (table,) = [found for found in pages.tables(TEXT) if found.headings[-1] == "How many are needed"]
    assert table.rows == [row(people) for people in (100, 10_000, 1_000_000)]


def test_the_figures_match_the_measuring_program() -> None:
    """Ours: the numbers of waiting and of calling clients."""
    one = next(found for found in pages.tables(TEXT) if found.headings[-1] == "One instance").rows
    assert one[0][1].startswith(f"{CALLERS} of its 1,000 places")
    assert f" {MEMORY} MB with these calls" in one[1][1]
    assert f"while {ACTIVE + PATIENT} callers" in TEXT
    assert f"sends {DOUBLED} calls twice" in TEXT
    assert f"counts {DOUBLED} charges" in TEXT
    assert f"one in {(WAIT + TURN) / QUESTIONS:.0f} seconds" in TEXT


def test_the_queries_of_a_wait_match_the_code() -> None:
    """Ours: the first one, one every 15 s that starts after 7.5 to 15 s, and one before the end."""
    earliest, latest = POLL_INTERVAL / 2, POLL_INTERVAL
    assert [1 + len(range(0, int(WAIT - 2 - first), int(POLL_INTERVAL))) + 1 for first in (earliest, latest)] == [
        QUESTIONS,
        QUESTIONS,
    ]
