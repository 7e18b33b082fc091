"""Who is where and what each host has left, while moves are tried or carried out one after the other.

It is what a snapshot says, made changeable. It decides nothing: it says whether a host takes a machine, and why not.
While a machine is on its way it is on two hosts, and counts on both.

What counts is what was promised: a machine that is stopped holds its place, too, for it may be started.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vhal.fleet.rules import HOST, Apart, Never, Only, Stay, Together
from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine
from vhal.spec.units import Bytes


class Room:
    """The places of a fleet's machines.

    Concurrency: one thread at a time.

    Args:
        snapshot: How it is at first.
    """

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self.hosts: dict[str, SeenHost] = {host.name: host for host in snapshot.hosts}
        self.on: dict[str, dict[str, SeenMachine]] = {name: {} for name in self.hosts}
        """Host → id → machine."""
        self.cpus: dict[str, float] = {}
        """Host → virtual processors that it may still give away; negative where it gave away more."""
        self.memory: dict[str, int] = {}
        """Host → bytes that it may still give away."""
        self.bound: dict[str, str] = {}
        """Machine's id → host that it will be on in the end, for those that shall move."""
        self._rules = snapshot.rules
        self._chosen: dict[tuple[int, str], bool] = {}
        self._domains: dict[tuple[str, str], list[str]] = {}
        self._members: dict[int, list[SeenMachine]] = {}
        """Number of a rule → the machines that it keeps together."""
        self._moved: dict[str, str] = {}
        """Machine's id → host, of those that aren't where they were seen."""
        for machine in snapshot.machines:
            self.on[machine.host][machine.id] = machine
        for name in self.hosts:
            self._count(name)

    def put(self, machine: SeenMachine, host: str) -> None:
        """Let ``host`` hold the machine, too."""
        if machine.id not in self.on[host]:
            self.on[host][machine.id] = machine
            self._moved[machine.id] = host
            self.cpus[host] -= machine.cpus
            self.memory[host] -= machine.memory

    def take(self, machine: SeenMachine, host: str) -> None:
        """Let ``host`` no longer hold the machine."""
        if self.on[host].pop(machine.id, None) is not None:
            if self._moved.get(machine.id) == host:
                del self._moved[machine.id]
            self.cpus[host] += machine.cpus
            self.memory[host] += machine.memory

    def move(self, machine: SeenMachine, source: str, destination: str) -> None:
        """Let it be on ``destination`` instead of ``source``."""
        self.take(machine, source)
        self.put(machine, destination)

    def look(self, host: str, machines: Iterable[SeenMachine]) -> None:
        """Let ``host`` hold these and no others: it was looked at."""
        self.on[host] = {machine.id: machine for machine in machines}
        for id in self.on[host]:  # noqa: A001 - the contract's word
            self._moved.pop(id, None)
        self._members.clear()
        self._count(host)

    def refusal(self, machine: SeenMachine, source: str, host: str) -> str | None:
        """Return why the machine can't go from ``source`` to ``host``, or None if it can."""
        return self.full(machine, source, host) or self.forbidden(machine, source, host)

    def full(self, machine: SeenMachine, source: str, host: str) -> str | None:
        """Return why ``host`` can't take a machine of ``source``, whoever is there; or None."""
        seen = self.hosts[host]
        if seen.status is not HostStatus.UP:
            return f"{host} is {seen.status}"
        if seen.backend != self.hosts[source].backend:
            return f"{host} is a {seen.backend} host"
        if machine.memory > self.memory[host]:
            return f"{host} has {Bytes(max(0, self.memory[host]))} of memory left"
        if machine.cpus > self.cpus[host]:
            return f"{host} has {max(0.0, self.cpus[host]):g} processors left"
        return self._gpus(machine, seen) if machine.gpus else None

    def forbidden(self, machine: SeenMachine, source: str, host: str) -> str | None:
        """Return which rule is against the machine's going from ``source`` to ``host``, in words, or None."""
        why = self.ruled_out(machine, source, host)
        return why and f"{host} {why}"

    def ruled_out(self, machine: SeenMachine, source: str | None, host: str) -> str | None:
        """Return what ``host`` is or has that a rule doesn't want for the machine, or None: ``isn't rack=r1, where …``.

        What ``source`` breaks already is no reason to stay there: a rule is only against what makes it worse. A machine
        that is yet to be made has no source.
        """
        there = self.hosts[host]
        for number, rule in enumerate(self._rules):
            if isinstance(rule, Stay) or not self._matches(number, machine):
                continue
            name = repr(rule.name or f"{rule.kind} {rule.machines}")
            if isinstance(rule, Only) and not rule.hosts.matches(there.words):
                return f"isn't {rule.hosts}, where rule {name} wants it"
            if isinstance(rule, Never) and rule.hosts.matches(there.words):
                return f"is {rule.hosts}, where rule {name} doesn't want it"
            if isinstance(rule, Apart) and (other := self._beside(number, rule, machine, source, host)):
                where = f"has {other}" if rule.domain == HOST else f"is in the {rule.domain} of {other}"
                return f"{where}, from which rule {name} keeps it apart"
            if isinstance(rule, Together) and (other := self._away(number, rule, machine, host)):
                return f"isn't in the {rule.domain} of {other}, where rule {name} wants it"
        return None

    def stays(self, machine: SeenMachine) -> str | None:
        """Return why the machine isn't to be moved at all, or None."""
        if not machine.movable:
            return machine.reason or "it can't be moved as it is now"
        for number, rule in enumerate(self._rules):
            if isinstance(rule, Stay) and self._matches(number, machine):
                return f"rule {rule.name or str(rule.machines)!r} keeps it where it is"
        return None

    def party(self, machine: SeenMachine, host: str) -> list[SeenMachine]:
        """Return the machines of ``host`` that must go wherever this one goes, itself first."""
        found = {machine.id: machine}
        rules = [(n, rule) for n, rule in enumerate(self._rules) if isinstance(rule, Together) and rule.domain == HOST]
        waiting = [machine]
        while waiting:
            one = waiting.pop()
            for number, _ in rules:
                if self._matches(number, one):
                    fresh = [x for x in self.on[host].values() if x.id not in found and self._matches(number, x)]
                    found.update((x.id, x) for x in fresh)
                    waiting += fresh
        return list(found.values())

    # parts

    def _count(self, host: str) -> None:
        seen, cpus, memory = self.hosts[host], 0, 0
        for machine in self.on[host].values():
            cpus += machine.cpus
            memory += machine.memory
        self.cpus[host] = seen.cpus_to_give - cpus
        self.memory[host] = seen.memory_to_give - memory

    def _gpus(self, machine: SeenMachine, host: SeenHost) -> str | None:
        left = dict(host.gpus)
        for other in self.on[host.name].values():
            if other.id != machine.id:
                _use(left, other.gpus)
        if _use(left, machine.gpus):
            return None
        return f"{host.name} hasn't got its GPUs left"

    def _beside(self, number: int, rule: Apart, machine: SeenMachine, source: str | None, host: str) -> str | None:
        domain = self.hosts[host].domain(rule.domain)
        if domain is None or (source is not None and domain == self.hosts[source].domain(rule.domain)):
            return None
        for name in self._in(rule.domain, domain):
            for other in self.on[name].values():
                if other.id != machine.id and self._matches(number, other):
                    return other.name
        return None

    def _away(self, number: int, rule: Together, machine: SeenMachine, host: str) -> str | None:
        domain, missed = self.hosts[host].domain(rule.domain), None
        for other in self._together(number):
            if other.id != machine.id:
                final = self.bound.get(other.id) or self._moved.get(other.id, other.host)
                if domain is not None and self.hosts[final].domain(rule.domain) == domain:
                    return None
                missed = other.name
        return missed

    def _together(self, number: int) -> list[SeenMachine]:
        found = self._members.get(number)
        if found is None:
            found = [each for machines in self.on.values() for each in machines.values() if self._matches(number, each)]
            self._members[number] = found
        return found

    def _in(self, kind: str, domain: str) -> list[str]:
        if kind == HOST:
            return [domain]
        found = self._domains.get((kind, domain))
        if found is None:
            found = [name for name, host in self.hosts.items() if host.domain(kind) == domain]
            self._domains[kind, domain] = found
        return found

    def _matches(self, number: int, machine: SeenMachine) -> bool:
        key = (number, machine.id)
        found = self._chosen.get(key)
        if found is None:
            found = self._chosen[key] = self._rules[number].machines.matches(machine.words)
        return found


def _use(left: dict[str, int], wanted: Mapping[str, int]) -> bool:
    """Take what is wanted off what is left; return whether there was enough."""
    enough = True
    for model, count in sorted(wanted.items(), reverse=True):  # those of any model last: ""
        for name in [model] if model else sorted(left, key=left.__getitem__, reverse=True):
            taken = min(count, left.get(name, 0))
            left[name] = left.get(name, 0) - taken
            count -= taken
        enough = enough and not count
    return enough
