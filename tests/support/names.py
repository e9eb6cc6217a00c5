"""What the service is said to have: its tools, and the protocol revisions that it speaks.

The one table of them in the tests: a new tool or a new revision changes this one, and golden exchanges.
"""

TOOLS = ("query_video_status", "gen_video")  # as they are listed

# The revisions of each era, newest first.
MODERN = ("2026-07-28",)
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED = (*MODERN, *LEGACY)
OVER_HTTP = (*MODERN, *LEGACY[:-1])  # what the conformance suite tests: 2024-11-05 has no Streamable HTTP
