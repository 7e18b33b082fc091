"""How well a fleet is used: ``report`` for people, ``metrics`` for Prometheus."""
