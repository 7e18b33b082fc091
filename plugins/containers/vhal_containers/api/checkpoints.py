"""Running containers frozen into files, and brought back from them: on the same engine or another.

A checkpoint holds the processes' memory and, exported, the container's settings and changed files. The image must be
there, with the same id, on the engine that restores.
"""

from __future__ import annotations

from collections.abc import Iterable

from vhal_containers.api.answer import Answer
from vhal_containers.api.connection import Connection
from vhal_containers.api.document import document, text
from vhal_containers.api.feed import Feed
from vhal_containers.api.path import path


class Checkpoints:
    """What can be done with checkpoints. Safe to use from several threads.

    None of these calls has a timeout of its own: they take as long as the memory is big.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take(
        self,
        id: str,
        *,
        keep: bool = False,
        leave_running: bool = False,
        tcp_established: bool = False,
        file_locks: bool = False,
        pre_checkpoint: bool = False,
        with_previous: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Freeze a container where it is; :meth:`bring_back` undoes it.

        Args:
            id: Which; it must run.
            keep: Keep the working files, also after a restore.
            leave_running: Let it run on.
            tcp_established: Allow open TCP connections; without it they are an error.
            file_locks: Allow held file locks; the same.
            pre_checkpoint: Only copy its memory, while it runs. Needs a kernel with soft-dirty pages.
            with_previous: Take only what changed since a pre-checkpoint.
            timeout_s: For how long the engine may say nothing.

        Raises:
            ApiError: It doesn't run, or couldn't be frozen; then it runs on.
        """
        self._connection.post(
            path("containers", id, "checkpoint"),
            {
                "keep": keep,
                "leaveRunning": leave_running,
                "tcpEstablished": tcp_established,
                "fileLocks": file_locks,
                "preCheckpoint": pre_checkpoint,
                "withPrevious": with_previous,
            },
            timeout_s=timeout_s,
        )

    def export(
        self,
        id: str,
        *,
        keep: bool = False,
        leave_running: bool = False,
        tcp_established: bool = False,
        file_locks: bool = False,
        pre_checkpoint: bool = False,
        with_previous: bool = False,
        ignore_rootfs: bool = False,
        timeout_s: float | None = None,
    ) -> Feed[bytes]:
        """Freeze a container and return the archive that :meth:`restore` takes, an uncompressed tar.

        It is frozen when this returns. With ``keep`` it can be brought back here, whatever becomes of the archive. An
        archive that the engine broke off ends without an error: only a tar's own end tells that it is whole.

        Args:
            id: Which; it must run.
            keep: As for :meth:`take`.
            leave_running: As for :meth:`take`.
            tcp_established: As for :meth:`take`.
            file_locks: As for :meth:`take`.
            pre_checkpoint: As for :meth:`take`.
            with_previous: As for :meth:`take`.
            ignore_rootfs: Leave the changed files out.
            timeout_s: For how long the engine may say nothing.

        Raises:
            ApiError: It doesn't run, or couldn't be frozen; then it runs on.
        """
        request = self._connection.stream(
            "POST",
            path("containers", id, "checkpoint"),
            {
                "export": True,
                "keep": keep,
                "leaveRunning": leave_running,
                "tcpEstablished": tcp_established,
                "fileLocks": file_locks,
                "preCheckpoint": pre_checkpoint,
                "withPrevious": with_previous,
                "ignoreRootFS": ignore_rootfs,
            },
            unframed=True,
            timeout_s=timeout_s,
        )
        return Feed(request, Answer.iter_bytes)

    def bring_back(
        self,
        id: str,
        *,
        keep: bool = False,
        tcp_established: bool = False,
        file_locks: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Have a container that was frozen here go on.

        Args:
            id: Which; it must not run, and have a checkpoint here.
            keep: Keep the checkpoint, so that this could be done again.
            tcp_established: It had open TCP connections.
            file_locks: It held file locks.
            timeout_s: For how long the engine may say nothing.

        Raises:
            ApiError: It runs, has no checkpoint, or couldn't go on.
        """
        self._connection.post(
            path("containers", id, "restore"),
            {"keep": keep, "tcpEstablished": tcp_established, "fileLocks": file_locks},
            timeout_s=timeout_s,
        )

    def restore(
        self,
        archive: Iterable[bytes],
        *,
        name: str | None = None,
        keep: bool = False,
        tcp_established: bool = False,
        file_locks: bool = False,
        ignore_rootfs: bool = False,
        ignore_volumes: bool = False,
        ignore_static_ip: bool = False,
        ignore_static_mac: bool = False,
        timeout_s: float | None = None,
    ) -> str:
        """Make a container from an archive of :meth:`export`, have it run, and return its id.

        Args:
            archive: The archive, piece by piece. If it raises, the engine sees it cut off, and makes nothing.
            name: Another name; it gets another id too. The engine takes any, so give only what may be a name.
            keep: Keep the working files.
            tcp_established: It has open TCP connections.
            file_locks: It holds file locks.
            ignore_rootfs: Leave the archive's changed files out.
            ignore_volumes: Leave the archive's volumes out.
            ignore_static_ip: Give it another address.
            ignore_static_mac: Give it another hardware address.
            timeout_s: For how long the engine may say nothing.

        Raises:
            ApiError: Its id or name is in use, its image or network is missing, it is no archive, or it couldn't go on.
                The engine then has nothing of it.
        """
        got = self._connection.post(
            # The engine doesn't look at this name.
            path("containers", "import", "restore"),
            {
                "import": True,
                "name": name,
                "keep": keep,
                "tcpEstablished": tcp_established,
                "fileLocks": file_locks,
                "ignoreRootFS": ignore_rootfs,
                "ignoreVolumes": ignore_volumes,
                "ignoreStaticIP": ignore_static_ip,
                "ignoreStaticMAC": ignore_static_mac,
            },
            body=archive,
            timeout_s=timeout_s,
        )
        return text(document(got), "Id")
