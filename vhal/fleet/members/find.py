"""The machine with a name or id, wherever in a fleet it is."""

from __future__ import annotations

from vhal.errors import HostUnreachable, InvalidSpec, NotFound, VhalError
from vhal.fleet.members.inventory import once
from vhal.fleet.members.members import Members
from vhal.host import Host
from vhal.machine import Machine


def find(members: Members, ref: str) -> Machine:
    """Return the machine with a name or id; all hosts are asked.

    Raises:
        vhal.errors.NotFound: There is none.
        vhal.errors.InvalidSpec: Several are called so; the message says where they are.
        vhal.errors.HostUnreachable: It isn't on those hosts that answer.
    """
    answers = members.ask(lambda host: _with(host, ref))
    found = once((member.name, each) for member, each in answers.items() if isinstance(each, Machine))
    if len(found) > 1:
        places = [name for name, _ in found]
        raise InvalidSpec(
            f"several machines are called {ref!r}: on {' and on '.join(places)}",
            hint=f"say which: {places[0]}/{ref}, or the id of one",
            machine=ref,
        )
    if found:
        return found[0][1]
    dead = [f"{member.name}: {answer}" for member, answer in answers.items() if isinstance(answer, VhalError)]
    if dead:
        raise HostUnreachable(
            f"machine {ref!r} isn't on the hosts that answer; {'; '.join(dead)}",
            hint="snapshot() shows what is wrong with each",
            machine=ref,
        )
    raise NotFound(
        f"there is no machine {ref!r} on {', '.join(members.names)}", hint="machines() lists them", machine=ref
    )


def _with(host: Host, ref: str) -> Machine | None:
    try:
        return host.machine(ref)
    except NotFound:
        return None
