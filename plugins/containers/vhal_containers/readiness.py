"""Whether what runs in a machine is up, as its health check says."""

from __future__ import annotations

from vhal_containers.api import ApiError, Unreachable
from vhal_containers.engine import Engine
from vhal_containers.inventory import Found

_HEALTHY = "healthy"
_MOST_S = 5.0


def ready(engine: Engine, found: Found) -> bool:
    """Return whether the health check says that it is up.

    The engine runs the check by systemd's timers; where there are none, and before the first one, it is run here.
    """
    if not found.container.has_healthcheck or found.container.state.status != "running":
        return False
    if found.container.state.health == _HEALTHY:
        return True
    health = found.spec.process.health if found.spec is not None and found.spec.process is not None else None
    timeout_s = _MOST_S if health is None else min(_MOST_S, health.timeout_s)
    try:
        health_now = engine.api.containers.check_health(found.podman_id, timeout_s=timeout_s)
    except ApiError:
        return False  # it ended meanwhile
    except Unreachable as error:
        if error.sent:
            return False  # the check takes longer than it may
        raise
    return health_now.status == _HEALTHY
