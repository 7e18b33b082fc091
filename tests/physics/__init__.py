"""How near the simulator's model of a migration is to real QEMU. ``python -m tests.physics`` measures and compares.

``cells`` is what is measured, ``measure`` does it on the test bed, ``predict`` asks the model for the same, ``fit``
finds the constants of the host, ``compare`` makes the table and the errors, ``plot`` the picture. What was measured for
the documentation is in docs/explanation/physics.json; a test looks at that, without an engine.
"""
