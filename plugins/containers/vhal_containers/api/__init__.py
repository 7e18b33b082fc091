"""The engine's HTTP: a thin client that knows requests and answers, and nothing of machines or specs.

:mod:`~vhal_containers.api.connection` carries, :mod:`~vhal_containers.api.libpod` names what can be asked of podman,
:mod:`~vhal_containers.api.docker` the same of docker,
:mod:`~vhal_containers.api.types` holds what is answered, :mod:`~vhal_containers.api.errors` says how it may fail.
"""

from __future__ import annotations

from vhal_containers.api.answer import Answer
from vhal_containers.api.connection import Connection
from vhal_containers.api.docker import Docker
from vhal_containers.api.errors import ApiError, Denied, Failure, Unreachable
from vhal_containers.api.hijack import Hijacked
from vhal_containers.api.libpod import Libpod

__all__ = ["Answer", "ApiError", "Connection", "Denied", "Docker", "Failure", "Hijacked", "Libpod", "Unreachable"]
