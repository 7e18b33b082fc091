"""What one does inside a machine: run programs, read and write files. A part of :class:`vhal.machine.Machine`.

States are checked here, as for the console: programs run in a machine that runs; files are copied in a stopped one too,
where its engine can.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from vhal.driver.capability import EXEC, FILES
from vhal.operation import call_context
from vhal.spec.state import allowed

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from vhal.driver.capability import Files
    from vhal.driver.context import Context
    from vhal.execution import Completed, Execution
    from vhal.layers.guard import Guard
    from vhal.spec.machine import MachineInfo


class Guest(ABC):
    """The inside of one machine."""

    @property
    @abstractmethod
    def _guard(self) -> Guard:
        """Its host's driver, guarded."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The engine's id, kept for life and through migration."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name, unique on its host."""

    @abstractmethod
    def info(self) -> MachineInfo:
        """Return what it is now."""

    def exec(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        input: bytes | str | None = None,
        timeout_s: float | None = None,
        check: bool = False,
    ) -> Completed:
        """Run a program in it to its end, and return what it ended with and what it wrote.

        Args:
            command: The program and its arguments; no shell is in between.
            env: Variables besides those that it has anyway.
            user: As whom; the backend's default is root, or whom the container's image names.
            cwd: The folder that it begins in.
            input: What it reads from its input, which is empty otherwise.
            timeout_s: How long it may take.
            check: Whether to raise if it ends with another code than 0.

        Raises:
            vhal.errors.CommandFailed: It did, and ``check`` is true.
            vhal.errors.InvalidSpec: The command is one text, or empty.
            vhal.errors.NotFound: There is no such program, user or folder.
            vhal.errors.OperationTimeout: It didn't end in time. It goes on.
        """
        from vhal.execution import raise_failed, run_to_end

        data = input.encode() if isinstance(input, str) else input or b""
        ctx = call_context(timeout_s)
        with self._execute(command, ctx, env, user, cwd, False) as running:
            done = run_to_end(running, data, ctx)
        if check:
            raise_failed(running.command, done, machine=self.name, host=self._guard.name, backend=self._guard.backend)
        return done

    def spawn(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        terminal: bool = False,
        timeout_s: float | None = None,
    ) -> Execution:
        """Start a program in it and return it running, as :class:`subprocess.Popen` does. Use it in a ``with`` block.

        Args:
            command: As in :meth:`exec`, and so are those that follow.
            env: Variables.
            user: As whom.
            cwd: Where.
            terminal: Whether its input and output are a terminal.
            timeout_s: How long starting it may take.

        Raises:
            vhal.errors.InvalidSpec: The command is one text, or empty.
            vhal.errors.NotFound: There is no such program, user or folder.
        """
        ctx = call_context(timeout_s)
        return self._execute(command, ctx, env, user, cwd, terminal)

    def _execute(
        self,
        command: Sequence[str],
        ctx: Context,
        env: Mapping[str, str] | None,
        user: str | None,
        cwd: str | None,
        terminal: bool,
    ) -> Execution:
        from vhal.arguments import variables, words
        from vhal.execution import Execution

        wanted, given = words(command), variables(env)
        guard, info = self._guard, self._in_state("exec")
        stream = guard.require(EXEC, info).execute(self.id, wanted, ctx, given, user, cwd, terminal)
        return Execution(stream, self.name, wanted, guard.call, guard.clock_s)

    def read_file(self, path: str, *, timeout_s: float | None = None) -> bytes:
        """Return what is in a file of it, which must fit into memory; links are followed.

        Raises:
            vhal.errors.NotFound: There is none.
            vhal.errors.InvalidSpec: It is no file, or the path isn't absolute.
        """
        from vhal.files import read_file

        ctx = call_context(timeout_s)
        return read_file(self._files(), self.id, path, ctx)

    def write_file(self, path: str, data: bytes | str, mode: int = 0o644, *, timeout_s: float | None = None) -> None:
        """Make or replace a file in it, owned by its root.

        Raises:
            vhal.errors.NotFound: There is no such folder.
            vhal.errors.InvalidSpec: The path isn't absolute, or the mode is none.
        """
        from vhal.files import write_file

        ctx = call_context(timeout_s)
        write_file(self._files(), self.id, path, data.encode() if isinstance(data, str) else data, mode, ctx)

    def copy_in(self, local: str | os.PathLike[str], path: str, *, timeout_s: float | None = None) -> None:
        """Copy a local file or folder into it, to be called ``path`` there, or, if that ends with ``/``, into it.

        Its owner there is root. Links in a folder stay links. A folder that is there gets what is new; a failure may
        leave a part.

        Raises:
            vhal.errors.NotFound: There is nothing here, or no such folder there.
            vhal.errors.AccessDenied: It can't be read here.
            vhal.errors.InvalidSpec: It, or something in it, is neither file, folder nor link.
        """
        from vhal.files import copy_in

        ctx = call_context(timeout_s)
        copy_in(self._files(), self.id, local, path, ctx)

    def copy_out(self, path: str, local: str | os.PathLike[str], *, timeout_s: float | None = None) -> None:
        """Copy a file or folder of it here, to be called ``local``, or, if that ends with ``/``, into it.

        What it sends isn't trusted: nothing gets anywhere else, owners are dropped, and links that lead out of the
        folder and devices are refused. A folder that is here gets what is new.

        Raises:
            vhal.errors.NotFound: There is nothing there, or no such folder here.
            vhal.errors.AlreadyExists: A folder is here and this is a file, or the other way round.
            vhal.errors.ImageRejected: Something in it leads out of it; nothing was copied.
            vhal.errors.InsufficientResources: The disk here is full; nothing was copied.
        """
        from vhal.unpack import copy_out

        ctx = call_context(timeout_s)
        copy_out(self._files(), self.id, path, local, ctx)

    def _files(self) -> Files:
        return self._guard.require(FILES, self._in_state("copy"))

    def _in_state(self, call: str) -> MachineInfo:
        info = self.info()
        if not allowed(call, info.state):
            raise self._guard.wrong_state(call, info)
        return info
