"""The Scenext API: its client, every way in which a call can fail, and a sandbox that takes its place.

    client       the two calls, and what they have in common
    responses    status and body of a response: its data, or a failure
    failures     the tree of failures
    incomplete   what requests and urllib3 raise, as failures
    reasons      why, for the operator's log
    route        proxy and certificates, as the environment has them
    network      a proxy and certificates, looked at at the start
    deadline     one timeout for a whole call
    connection   connections that keep to it, and on which a response belongs to its request
    names        look-ups that end in time
    adapter      requests' transport adapter: connections by key
    sandbox      Scenext without a network and without a key
    sandbox_jobs its jobs, and what their links lead to
    text         text from outside, fit for one line

Nothing here knows MCP. Source: Scenext's API reference.
"""
