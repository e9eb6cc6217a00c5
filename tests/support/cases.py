"""Cases of a test that loops over them, because a test of its own for each would take longer than the case itself."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*values: object) -> Iterator[None]:
    """Add the values of a case to the message of an exception in the block."""
    try:
        yield
    except Exception as error:
        error.add_note(f"case: {', '.join(repr(value)[:200] for value in values)}")
        raise
