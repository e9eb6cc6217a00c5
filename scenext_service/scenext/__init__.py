"""The Scenext API: its client, every way in which a call can fail, and a sandbox that replaces it.

    client      the two operations, and the code that they share
    responses   interprets status and body of a response: its data, or a failure with its text on one line
    failures    the tree of failures
    keys        recognizes valid keys and placeholders, and redacts a key in a response
    transport   the connections below the client: deadline, keys, proxy and certificates
    sandbox     a simulated Scenext, without a network and without a key

This package does not depend on MCP. Source: Scenext's API reference.
"""
