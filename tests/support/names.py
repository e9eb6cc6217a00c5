"""The tools of the service and the protocol revisions that it supports.

The tests list them only here. A new tool or revision changes this file and the golden exchanges.
"""

TOOLS = ("query_video_status", "gen_video")  # in the order of tools/list

# The revisions of each era, newest first.
MODERN = ("2026-07-28",)
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED = (*MODERN, *LEGACY)
OVER_HTTP = (*MODERN, *LEGACY[:-1])  # the revisions that the conformance suite tests: 2024-11-05 has no Streamable HTTP
