"""Render the tables and the chart of a run."""

from collections.abc import Mapping
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from servers import CALL, CONSTANT, LIST, OURS, REQUESTS, SCENEXT_MCP, SDK, SDK_UVLOOP, SHIPPED, Server

Rounds = Mapping[str, Mapping[str, Mapping[str, list[float]]]]

WIDTH, LABELS, BAR, GAP = 880, 280, 18, 8  # pixels of the chart


def name(server: Server) -> str:
    """Return the row name of a server in its first era."""
    return server.row(server.eras[0])


def tables(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    rounds: Rounds = results["rounds"]
    about = results["about"]
    parts = ["# Results", "; ".join(f"{key}: {value}" for key, value in about.items()), "## Targets", targets(rounds)]
    parts += [f"## One core: {CALL} with another key in every request", _load_table(rounds["different keys"])]
    for table in ("one core", "with logs"):
        for operation in (CALL, LIST):
            parts += [f"## {table.capitalize()}: {operation}", _load_table(rounds[f"{table}, {operation}"])]
        parts += [f"## {table.capitalize()}: start and memory", _process_table(rounds[table])]
    parts += [f"## Both cores: {CALL}", _load_table(rounds["both cores"], name(SHIPPED))]
    if "slow, 0.2 s" in rounds:
        parts += [
            f"## An upstream of 0.2 s: {CALL}, 100 connections",
            _load_table(rounds["slow, 0.2 s"], name(SHIPPED)),
        ]
        parts += [f"## {LIST} while 100 calls hang", _load_table(rounds["slow, hanging"], name(SHIPPED))]
    return "\n\n".join(parts) + "\n"


def targets(rounds: Rounds) -> str:
    """Return the table of targets and measured values."""
    ours = name(OURS)
    call, listed, process = rounds[f"one core, {CALL}"], rounds[f"one core, {LIST}"], rounds["one core"]
    both = rounds["both cores"]

    called, listed_too = rounds[f"with logs, {CALL}"], rounds[f"with logs, {LIST}"]

    def beside(table: Mapping[str, Mapping[str, list[float]]], other: str, figure: str = "cpu_us") -> float:
        return ratio(table[ours][figure], table[other][figure])

    rows: list[tuple[str, float, str, float]] = [
        (f"{CALL}: CPU beside B", beside(call, name(REQUESTS)), "<=", 0.60),
        (f"{CALL}: CPU beside {name(SDK)}", beside(call, name(SDK)), "<=", 0.90),
        (f"{CALL}: CPU beside {name(SDK_UVLOOP)}", beside(call, name(SDK_UVLOOP)), "<=", 0.90),
        (f"{CALL}: CPU beside {name(SCENEXT_MCP)}", beside(call, name(SCENEXT_MCP)), "<=", 0.35),
        (
            f"{CALL}, another key in every request: CPU beside B",
            beside(rounds["different keys"], name(REQUESTS)),
            "<=",
            1,
        ),
        (f"{LIST}: CPU beside A", beside(listed, name(CONSTANT)), "<=", 1.30),
        (f"{LIST}: CPU beside {name(SDK)}", beside(listed, name(SDK)), "<=", 0.95),
        (f"{LIST}: CPU beside {name(SDK_UVLOOP)}", beside(listed, name(SDK_UVLOOP)), "<=", 0.95),
        (f"{LIST}: CPU beside {name(SCENEXT_MCP)}", beside(listed, name(SCENEXT_MCP)), "<=", 0.30),
        (f"{CALL}, logs as shipped: CPU beside B", beside(called, name(REQUESTS)), "<=", 0.60),
        (f"{LIST}, logs as shipped: CPU beside A", beside(listed_too, name(CONSTANT)), "<=", 1.30),
        (f"{CALL}: p99 beside {name(SDK)}", beside(call, name(SDK), "p99_ms"), "<=", 1),
        (f"{LIST}: p99 beside {name(SDK)}", beside(listed, name(SDK), "p99_ms"), "<=", 1),
        ("memory after load, one worker, MB", median(process[OURS.name]["memory_mb"]), "<=", 45),
        (
            f"cold start beside {SDK.name}",
            ratio(process[OURS.name]["cold_start_s"], process[SDK.name]["cold_start_s"]),
            "<=",
            0.6,
        ),
        (
            f"calls/s on both cores beside {SDK.name}, 1 process",
            ratio(both[name(SHIPPED)]["per_second"], both[name(SDK)]["per_second"]),
            ">=",
            2.0,
        ),
    ]
    reached = {"<=": lambda value, limit: value <= limit, ">=": lambda value, limit: value >= limit}
    lines = ["| what | target | measured | |", "|---|---|---|---|"]
    for what, value, sign, limit in rows:
        verdict = "reached" if reached[sign](value, limit) else "missed"
        lines.append(f"| {what} | {sign} {limit:g} | {value:.2f} | {verdict} |")
    return "\n".join(lines)


def ratio(figures: list[float], others: list[float]) -> float:
    """Return the median of the ratios in each round."""
    return median(mine / other for mine, other in zip(figures, others, strict=True))


def _load_table(table: Mapping[str, Mapping[str, list[float]]], first: str = "") -> str:
    ours = table[first or name(OURS)]
    lines = ["| server | CPU µs | to scenext_service | switches | answers/s | p50 ms | p99 ms |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|"]
    for row, figures in table.items():
        switches, per_second, p50, p99 = (
            median(figures[key]) for key in ("switches", "per_second", "p50_ms", "p99_ms")
        )
        times = ratio(figures["cpu_us"], ours["cpu_us"])
        cost = median(figures["cpu_us"])
        lines.append(
            f"| {row} | {cost:.0f} | {times:.2f} | {switches:.2f} | {per_second:.0f} | {p50:.1f} | {p99:.1f} |"
        )
    return "\n".join(lines)


def _process_table(table: Mapping[str, Mapping[str, list[float]]]) -> str:
    lines = ["| server | first answer after s | memory MB |", "|---|--:|--:|"]
    for row, figures in table.items():
        lines.append(f"| {row} | {median(figures['cold_start_s']):.2f} | {median(figures['memory_mb']):.0f} |")
    return "\n".join(lines)


def chart(results: Mapping[str, Any]) -> str:
    """Return an SVG bar chart of the CPU time per answer, each with its ratio to this service."""
    rounds: Rounds = results["rounds"]
    parts: list[str] = []
    top = 56
    for operation in (CALL, LIST):
        table = rounds[f"one core, {operation}"]
        bars = {row: (median(table[row]["cpu_us"]), ratio(table[row]["cpu_us"], ours(table))) for row in table}
        parts.append(f'<text class="head" x="16" y="{top}">{operation}</text>')
        top += 12
        for row, (cost, times) in sorted(bars.items(), key=lambda bar: bar[1][0]):
            longest = max(cost for cost, _ in bars.values())
            parts.append(_bar(row, cost, times, top, (WIDTH - LABELS - 170) * cost / longest))
            top += BAR + GAP
        top += 30
    about = results["about"]
    caption = f"{about['command']}, {about['date']}, Python {about['python']}, {about['processor']}"
    return _SVG.format(width=WIDTH, height=top + 8, bars="\n".join(parts), caption=escape(caption), bottom=top - 8)


def ours(table: Mapping[str, Mapping[str, list[float]]]) -> list[float]:
    """Return this service's CPU figures, the reference of all ratios."""
    return table[name(OURS)]["cpu_us"]


def _bar(row: str, cost: float, times: float, top: int, length: float) -> str:
    kind = "ours" if row.startswith(OURS.name) else "peer"
    middle = top + BAR - 5
    return (
        f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(row)}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="3"/>'
        f'<text x="{LABELS + length + 8:.1f}" y="{middle}">{cost:.0f} µs · {times:.2f}×</text>'
    )


# Colours that are readable on white and on black. The text follows the reader's colour scheme.
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" \
role="img" aria-label="CPU time per answer, this service beside others">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #24292f }}
.head {{ font-weight: 600 }}
.small {{ font-size: 11px }}
.ours {{ fill: #2f81f7 }}
.peer {{ fill: #8b949e }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}
</style>
<text class="head" x="16" y="24">CPU time per answer on one core, and as a multiple of ours: less is better</text>
{bars}
<text class="small" x="16" y="{bottom}">{caption}</text>
</svg>
"""
