"""Things die in the middle: real hosts, real guests, real signals."""
