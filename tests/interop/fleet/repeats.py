"""Callers who send each call twice, behind a router that chooses the instance by key, and behind one that does not."""

from concurrent.futures import ThreadPoolExecutor

from tests.interop.hosting.conversation import ERAS, KEY, Talk
from tests.support.scenext import Scenext

from .callers import Call, start

CALLERS = 30
TWICE = 2


def charged_once(name: str, port: int, upstream: Scenext, instances: set[str]) -> str:
    """Check that a router by key leads to one charge for each caller, through all instances. Raises AssertionError."""
    pairs, charges = _doubled(name, port, upstream)
    differing = [pair for pair in pairs if pair[0].task_id != pair[1].task_id]
    assert not differing, f"two jobs behind {name}: {differing}"
    assert len(charges) == len({pair[0].task_id for pair in pairs}) == CALLERS, f"{len(charges)} charges behind {name}"
    assert set(charges) == instances, f"behind {name}, only {set(charges)} got calls"
    return f"{len(charges)} behind {name}"


def charged_more(name: str, port: int, upstream: Scenext) -> str:
    """Check that instances do not share their memory, so that the check of a router by key means something."""
    charges = _doubled(name, port, upstream)[1]
    assert len(charges) > CALLERS, "the instances share the memory of started jobs"
    return f"{len(charges)} behind {name}"


def _doubled(name: str, port: int, upstream: Scenext) -> tuple[list[list[Call]], list[str]]:
    """Let each caller send a call twice. Return the pairs of calls, and the instance of each charge.

    Half of the callers send the second call at the same moment as the first, and the others after its result. Half of
    them use each header for their key. All ask the same question.
    """

    def twice(number: int) -> list[Call]:
        key = f"{KEY}-{number}"
        headers = {"Authorization": f"Bearer {key}"} if number % 2 else {"X-API-Key": key}

        def once(_: int) -> Call:
            talk = Talk(ERAS[number // 4 % 2], port)
            call = start(talk, f"Is each caller behind {name} charged once?", headers)
            talk.connection.close()
            return call

        with ThreadPoolExecutor(TWICE if number // 2 % 2 else 1) as pool:
            return [*pool.map(once, range(TWICE))]

    with ThreadPoolExecutor(CALLERS) as pool:
        pairs = [*pool.map(twice, range(CALLERS))]
    calls = {call.request_id: call for pair in pairs for call in pair}
    assert not [call for call in calls.values() if call.problem], [*calls.values()]
    return pairs, [it.instance for it in upstream.questions if it.starts and it.request_id in calls]
