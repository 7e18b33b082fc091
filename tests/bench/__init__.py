"""How fast it is: ratios against a peer, both measured in one run. ``python -m tests.bench`` prints them.

Not tests: the machines they run on are shared and noisy, so nothing here fails a build unless ``--strict`` asks for it.
"""
