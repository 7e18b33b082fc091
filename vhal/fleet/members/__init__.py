"""The hosts of a fleet: what was said of each, and what it answers.

``entry`` is a host as it is listed, ``roster`` finds the name of each, ``member`` is one of them, opened when it is
needed, and ``members`` are all. ``ask`` puts a question to several at once, ``inventory`` makes a snapshot of the
answers, ``meter`` smooths what machines use, and ``find`` finds one of them. A ``cordon`` keeps machines off a host.
"""
