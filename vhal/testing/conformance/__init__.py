"""The layers of the conformance kit. What authors subclass is :class:`vhal.testing.BackendSuite`."""
