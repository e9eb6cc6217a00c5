"""How many threads and connections a worker has, by what the platform allows."""

import resource
from pathlib import Path
from typing import Any

import pytest

from scenext_service.serving import capacity as module
from scenext_service.serving.capacity import allowed_threads, capacity, descriptors

ANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("workers", "allowed", "threads"),
    [
        pytest.param(2, None, 1000, id="no limit"),
        pytest.param(2, 95_000, 1000, id="a limit far away"),
        pytest.param(2, 1024, 504, id="a container's limit"),
        pytest.param(2, 256, 120, id="Heroku Standard-1X"),
        pytest.param(4, 512, 124, id="Heroku Standard-2X"),
        pytest.param(8, 32, 5, id="hardly any"),
    ],
)
def test_threads_stay_below_the_platforms_limit(workers: int, allowed: int | None, threads: int) -> None:
    """Ours: threads that are counted on and cannot be had would leave the rest no thread beside calls that wait."""
    assert capacity(workers, allowed, None) == (threads, 4000)


@pytest.mark.parametrize(
    ("found", "threads", "connections"),
    [
        pytest.param(1_048_576, 1_000, 4_000, id="a container"),
        pytest.param(4_096, 1_000, 2_032, id="an older Debian"),
        pytest.param(1_024, 256, 448, id="1024 for good"),
        pytest.param(256, 64, 96, id="256 for good"),
        pytest.param(64, 16, 24, id="64 for good"),
        pytest.param(None, 1_000, 4_000, id="no limit"),
    ],
)
def test_threads_and_connections_stay_below_the_descriptors(found: int | None, threads: int, connections: int) -> None:
    """Ours: a thread may need three, an idle connection one; below as many as threads, gunicorn keeps no connection."""
    assert capacity(2, None, found) == (threads, connections)


@pytest.mark.parametrize(
    ("limit", "pids", "expected"),
    [
        pytest.param(ANY, "max\n", None, id="no limit"),
        pytest.param(256, "max\n", 256, id="a user's"),
        pytest.param(ANY, "1024\n", 1024, id="a container's"),
        pytest.param(256, "1024\n", 256, id="the smaller"),
        pytest.param(256, None, 256, id="no such file"),
    ],
)
def test_the_limit_of_threads_is_the_systems(
    limit: int, pids: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Spec: getrlimit(2), RLIMIT_NPROC; the kernel's documentation of cgroup v2, "pids.max"."""
    file = tmp_path / "pids.max"
    if pids:
        file.write_text(pids, encoding="ascii")
    monkeypatch.setattr(module, "_PIDS", file)
    monkeypatch.setattr(resource, "getrlimit", {resource.RLIMIT_NPROC: (limit, limit)}.__getitem__)
    assert allowed_threads() == expected


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "after"),
    [
        pytest.param(1_024, 4_096, 4_096, 4_096, id="raised"),
        pytest.param(4_096, 4_096, 4_096, 4_096, id="raised already"),
        pytest.param(ANY, ANY, None, ANY, id="no limit"),
        pytest.param(256, ANY, 256, 256, id="macOS"),
    ],
)
def test_the_limit_of_descriptors_is_raised(
    soft: int, hard: int, expected: int | None, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: 1024 is for programs that use select(). macOS says that there is no hard limit, and refuses to set it."""

    def setrlimit(of: int, limits: tuple[int, int]) -> None:
        if limits[0] == ANY:
            raise ValueError("current limit exceeds maximum limit")
        found[of] = limits

    found: dict[int, Any] = {resource.RLIMIT_NOFILE: (soft, hard)}
    monkeypatch.setattr(resource, "getrlimit", found.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert descriptors() == expected
    assert found[resource.RLIMIT_NOFILE][0] == after
