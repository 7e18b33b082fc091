"""The table of commands, and what happens to errors.

A command's module is imported when the command runs; its name and one line of help are here, so that ``vhal --help``
and completion import none of them. How a command is made is in :mod:`vhal.cli.command`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

import vhal
from vhal.cli import plugin
from vhal.cli.command import Entry, LazyGroup
from vhal.cli.output import report
from vhal.errors import VhalError

EXIT_CODES = """\
\b
Exit codes:
  0    it is done
  1    it failed, or was aborted
  2    usage: an argument, a spec or the configuration is wrong
  3    there is no such machine, host or file
  4    conflict: the name is taken, the state doesn't fit, no room, busy
  5    it can't be done here; the hints say what would help
  6    a host or backend is unavailable, or denies access
  7    it took longer than its timeout
  8    a migration's end is in doubt: look at both hosts before anything else
  130  interrupted (Ctrl-C); what was begun was undone
       'vhal exec' exits with what its program ended with
"""

INTERRUPTED = 130

MACHINES = {
    "create": Entry("vhal.cli.create:create", "Make a machine from a spec file, flags, or both."),
    "list": Entry("vhal.cli.machine:list_", "List machines."),
    "show": Entry("vhal.cli.machine:show", "Show one machine."),
    "start": Entry("vhal.cli.power:start", "Start a machine."),
    "stop": Entry("vhal.cli.power:stop", "Stop a machine by asking its guest."),
    "reboot": Entry("vhal.cli.power:reboot", "Restart a machine's guest."),
    "pause": Entry("vhal.cli.power:pause", "Halt a machine's processors and keep its memory."),
    "resume": Entry("vhal.cli.power:resume", "Let a paused machine go on."),
    "save": Entry("vhal.cli.power:save", "Put a machine's memory on disk."),
    "restore": Entry("vhal.cli.power:restore", "Bring a saved machine back."),
    "wait": Entry("vhal.cli.power:wait", "Wait until a machine's guest is up, or for a state."),
    "exec": Entry("vhal.cli.execute:execute", "Run a program in a machine."),
    "cp": Entry("vhal.cli.copy:copy", "Copy a file or folder into a machine or out of it."),
    "resize": Entry("vhal.cli.resize:resize", "Change a machine's processors and memory."),
    "snapshot": Entry("vhal.cli.app:snapshot", "Keep machines as they are, and go back to it."),
    "migrate": Entry("vhal.cli.migrate:migrate", "Move a machine to another host."),
    "console": Entry("vhal.cli.console:console", "Talk to a machine's console."),
    "delete": Entry("vhal.cli.machine:delete", "Delete a machine and the disks made for it."),
}

SNAPSHOTS = {
    "create": Entry("vhal.cli.snapshots:create", "Keep a machine as it is now."),
    "list": Entry("vhal.cli.snapshots:list_", "List a machine's snapshots."),
    "revert": Entry("vhal.cli.snapshots:revert", "Make a stopped machine what it was."),
    "delete": Entry("vhal.cli.snapshots:delete", "Forget a snapshot."),
}

HOSTS = {
    "list": Entry("vhal.cli.hosts:hosts", "List the named hosts and how full they are."),
    "show": Entry("vhal.cli.hosts:show", "Show one host, and what it can do."),
}

FLEET = {
    "hosts": Entry("vhal.cli.fleet.hosts:hosts", "List the fleet's hosts and how full they are."),
    "machines": Entry("vhal.cli.fleet.hosts:machines", "List the fleet's machines and what they use."),
    "report": Entry("vhal.cli.fleet.report:report", "Show what is bought, allocated, used and wasted."),
    "explain": Entry("vhal.cli.fleet.create:explain", "Say where a machine would be made, and why."),
    "create": Entry("vhal.cli.fleet.create:create", "Make a machine on the host that is best for it."),
    "show": Entry("vhal.cli.fleet.show:show", "Show a plan: as text, as a picture, as a page."),
    "metrics": Entry("vhal.cli.fleet.metrics:metrics", "Serve the fleet's figures to Prometheus."),
    "capture": Entry("vhal.cli.fleet.capture:capture", "Write the fleet down, as a snapshot to plan from."),
    "plan": Entry("vhal.cli.fleet.plan:plan", "Plan which machines should move so that hosts are evenly used."),
    "apply": Entry("vhal.cli.fleet.apply:apply", "Carry out a plan from a file."),
    "cordon": Entry("vhal.cli.fleet.cordon:cordon", "Put nothing new on hosts."),
    "uncordon": Entry("vhal.cli.fleet.cordon:uncordon", "Let cordoned hosts be used again."),
    "drain": Entry("vhal.cli.fleet.drain:drain", "Move every machine off hosts."),
    "restore": Entry("vhal.cli.fleet.drain:restore", "Bring back what a drain took away."),
    "evacuate": Entry("vhal.cli.fleet.evacuate:evacuate", "Start a dead host's machines on others."),
    "resume": Entry("vhal.cli.fleet.resume:resume", "Go on with plans that were left in the middle."),
    "watch": Entry("vhal.cli.fleet.watch:watch", "Keep the fleet cool, by a policy."),
}

SECTIONS = {
    "Machines": {
        "machine": Entry("vhal.cli.app:machine", "All of the following, as 'vhal machine VERB'."),
        **MACHINES,
    },
    "Hosts": {
        "hosts": HOSTS["list"],
        "host": Entry("vhal.cli.app:host", "Look at one host."),
        "fleet": Entry("vhal.cli.app:fleet", "Look after several hosts at once."),
        "top": Entry("vhal.cli.top:top", "Show a fleet live: hosts, moves under way, machines."),
        "stats": Entry("vhal.cli.stats:stats", "Show what active machines use."),
        "events": Entry("vhal.cli.events:events", "Tell what happens to machines, until interrupted."),
        "capture": Entry("vhal.cli.capture:capture", "Write hosts and machines down, as a world to simulate."),
    },
    "This installation": {
        "backends": Entry("vhal.cli.backends:backends", "List the installed backends."),
        "doctor": Entry("vhal.cli.doctor:doctor", "Check what each backend can do here, and what to do about it."),
        "conformance": Entry(
            "vhal.cli.conformance:conformance", "Prove that a backend keeps the contract, on the host URL."
        ),
        "schema": Entry("vhal.cli.schema:schema", "Print the JSON Schema of a machine's spec."),
        "new-backend": Entry("vhal.cli.new_backend:new_backend", "Write the project of a backend of your own."),
        "completion": Entry("vhal.cli.completion:completion", "Print a shell's completion script."),
    },
}


PLUGINS = "Commands of plugins"


class App(LazyGroup):
    """The root command. Turns every error into lines or JSON on stderr and a documented exit code.

    After its own commands come those of plugins; one of a plugin's that has the name of one of these isn't seen.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for entries in self.headed(ctx).values() for name in entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        return own if own is not None else plugin.load(ctx, cmd_name)

    def headed(self, ctx: click.Context) -> Mapping[str, Mapping[str, Entry]]:
        brought = {name: entry for name, entry in plugin.entries(ctx).items() if name not in self.entries}
        return {**self.sections, PLUGINS: brought} if brought else self.sections

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line ``args``, and exit."""
        words = sys.argv[1:] if args is None else list(args)
        # Looked for here, since an error in the words themselves comes before any option was understood.
        # What follows a -- is somebody else's.
        as_json = "--json" in words[: words.index("--") if "--" in words else None]
        try:
            code = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            report(_usage(error), as_json, code="usage")
            code = error.exit_code
        except click.Abort as error:
            cause = error.__cause__
            if isinstance(cause, VhalError):
                report(cause, as_json)
            else:
                report(VhalError("interrupted"), as_json, code="interrupted")
            code = INTERRUPTED
        except VhalError as error:
            report(error, as_json)
            code = error.exit_code
        sys.exit(code or 0)


def _usage(error: click.ClickException) -> VhalError:
    hint = getattr(error, "hint", None)
    context = getattr(error, "ctx", None)
    if hint is None and context is not None:
        hint = f"see {context.command_path} --help"
    return VhalError(error.format_message(), hint=hint)


machine = LazyGroup("machine", sections={"Commands": MACHINES}, help="Make, look at, run and move machines.")
snapshot = LazyGroup("snapshot", sections={"Commands": SNAPSHOTS}, help="Keep machines as they are, and go back to it.")
fleet = LazyGroup("fleet", sections={"Commands": FLEET}, help="Look after several hosts at once.")
host = LazyGroup("host", sections={"Commands": HOSTS}, help="Look at hosts.")
app = App(
    "vhal",
    sections=SECTIONS,
    help="Virtual machines and containers, any engine behind it.",
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[],
)
click.version_option(vhal.__version__, prog_name="vhal", message="%(prog)s %(version)s")(app)
