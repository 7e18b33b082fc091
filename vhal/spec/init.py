"""What a guest is told at its first boot, in cloud-init's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, field_serializer

from vhal.spec.frozen import FrozenDict
from vhal.spec.model import Model

SshKey = Annotated[
    str,
    Field(
        max_length=16384,
        pattern=(
            r"^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9-]+@openssh\.com)"
            r" [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?$"
        ),
    ),
]


class Init(Model):
    """cloud-init's NoCloud data.

    ``user_data`` is a secret (people put passwords and tokens there): it is masked in every ``repr``, log, error and
    dump, and is not kept with the machine. Read it with ``init.user_data.get_secret_value()``.
    """

    user_data: SecretStr | None = None
    meta_data: FrozenDict[str, Any] = FrozenDict()
    network_config: FrozenDict[str, Any] | None = None
    ssh_keys: tuple[SshKey, ...] = ()

    @field_serializer("user_data", when_used="json")
    def _kept_back(self, user_data: SecretStr | None) -> None:
        # Not the mask that pydantic writes: read back, that would be the user-data of a new machine.
        return None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            user_data: str | SecretStr | None = ...,
            meta_data: dict[str, Any] = ...,
            network_config: dict[str, Any] | None = ...,
            ssh_keys: tuple[str, ...] | list[str] = ...,
        ) -> None: ...
