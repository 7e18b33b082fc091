"""The hosts of a fleet: what was said of each, and what it answers.

``entry`` is a host as it is listed, ``roster`` finds the name of each, and ``member`` is one of them, opened when it is
needed. ``ask`` puts a question to all at once, ``inventory`` makes a snapshot of the answers, and ``meter`` smooths
what machines use.
"""
