"""A simulated Scenext, for trials of the service without a key or a network, and for its tests.

    adapter   the API as a requests transport adapter: keys, errors and delays on demand
    jobs      the simulated jobs: their ids, their frames, and the targets of their links

It keeps no state, so every worker process responds alike.
"""
