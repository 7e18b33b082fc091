"""Several hosts as users hold them, of one backend or of several.

A fleet opens its hosts when they are first needed, and asks all of them at once. What is decided is decided from a
:meth:`Fleet.snapshot`: where a machine goes is :mod:`vhal.fleet.placement`, which machines move is
:mod:`vhal.fleet.balance` and :mod:`vhal.fleet.moves.drain`; how they move is :mod:`vhal.fleet.moves.apply`. A fleet
keeps no inventory: between two snapshots it remembers only loads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from vhal.errors import VhalError
from vhal.fleet.contradiction import refuse_contradictions
from vhal.fleet.members.ask import PATIENCE_S
from vhal.fleet.members.entry import Keeping
from vhal.fleet.members.find import find
from vhal.fleet.members.inventory import Inventory, look, machine, once
from vhal.fleet.members.members import Members, words
from vhal.fleet.members.meter import HALF_LIFE_S, Meter
from vhal.fleet.members.roster import Given, members
from vhal.fleet.rules import AnyRule
from vhal.fleet.selector import Selector, selected
from vhal.fleet.snapshot import FleetSnapshot, HostStatus
from vhal.host import Host
from vhal.machine import Machine

if TYPE_CHECKING:
    from vhal.fleet.figures.report import UseReport
    from vhal.fleet.moves.applied import Applied, ApplySettings
    from vhal.fleet.moves.carrier import OnEvent, Replan
    from vhal.fleet.placement.explanation import Explanation
    from vhal.fleet.placement.scores import Policy
    from vhal.fleet.plan import Plan
    from vhal.fleet.settings import BalanceSettings
    from vhal.journal import Journal
    from vhal.spec.machine import MachineSpec

T = TypeVar("T")


class Fleet:
    """Hosts, what must hold on them, and what may be given away of them. Closes at the end of a ``with`` block.

    Nothing is opened before something is asked. A host that doesn't answer costs the others nothing: each is asked in
    a thread of its own, for at most ``patience_s``. A connection that died is opened again; machines that were reached
    through it must be found again.

    Concurrency: safe from any thread.

    Args:
        hosts: URLs, names of named hosts, open hosts (which aren't closed with the fleet), or entries; or these by the
            names that they shall have. Without names they are called by what is special in their URLs.
        rules: What must hold.
        defaults: For hosts that say nothing themselves.
        half_life_s: Of what is known of loads: see :mod:`vhal.fleet.members.meter`.
        patience_s: How long a host may take to answer.
        clock: What snapshots are dated with, in seconds.
        journal: Where it is written down which hosts are cordoned and drained, and what is carried out; None for the
            user's.

    Raises:
        vhal.errors.InvalidUrl: A URL is malformed.
        vhal.errors.NotFound: No host has that name.
        vhal.errors.InvalidConfig: A host is there twice, or rules contradict each other.
    """

    def __init__(
        self,
        hosts: Iterable[Given] | Mapping[str, Given],
        *,
        rules: Iterable[AnyRule] = (),
        defaults: Keeping | None = None,
        half_life_s: float = HALF_LIFE_S,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.time,
        journal: Journal | None = None,
    ) -> None:
        self._members = Members(members(hosts, defaults or Keeping()), patience_s, journal)
        self._inventory = Inventory(rules, Meter(half_life_s))
        refuse_contradictions(self._inventory.rules, [words(member) for member in self._members])
        self._clock = clock
        self._journal = journal
        self._turn = threading.Lock()

    @classmethod
    def load(cls, path: str | Path | None = None, *, journal: Journal | None = None) -> Fleet:
        """Return the fleet that a TOML file describes.

        Args:
            path: The file; None for that of ``VHAL_FLEET``, or ``fleet.toml`` beside the file of named hosts.
            journal: As for any fleet.

        Raises:
            vhal.errors.NotFound: There is no such file, or it names a host that has no URL.
            vhal.errors.InvalidConfig: It isn't such a file, or can't be trusted; the message has the place.
            vhal.errors.InvalidUrl: A URL in it is malformed.
        """
        from vhal.fleet.file import default_path, load

        where = default_path() if path is None else Path(path)
        found = load(where)
        try:
            return cls(
                found.hosts,
                rules=found.rules,
                defaults=found.defaults,
                half_life_s=found.half_life_s,
                patience_s=found.patience_s,
                journal=journal,
            )
        except VhalError as error:
            error.message = f"{where}: {error.message}"
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """What its hosts are called."""
        return self._members.names

    @property
    def rules(self) -> tuple[AnyRule, ...]:
        """What must hold."""
        return self._inventory.rules

    def snapshot(self, *, over_s: float = 0.0, movable: bool = False) -> FleetSnapshot:
        """Return what there is now: all hosts, asked at once, those that don't answer with the reason.

        Loads are rates, so they are there from the second snapshot on, or with ``over_s``.

        Args:
            over_s: Measure for so long before, by the hosts' clocks.
            movable: Ask each machine whether it can move; a call for each. Else only hosts are asked.

        Raises:
            vhal.errors.InvalidConfig: Two of the hosts are one.
            vhal.errors.JournalError: It can't be read which hosts are cordoned.
        """
        answers = self._members.ask(lambda host: look(host, over_s, movable), over_s=over_s)
        self._members.heed()  # after they were asked: now it is known who each of them is
        with self._turn:
            return self._inventory.snapshot(answers, self._clock())

    def ask(self, question: Callable[[Host], T], names: Iterable[str] | None = None) -> dict[str, T | VhalError]:
        """Put a question to all hosts at once, or to some; return each one's answer or error, by its name.

        The question is called with each open host, in a thread of its own; no names are all hosts.

        Raises:
            vhal.errors.NotFound: None is called so.
        """
        asked = None if names is None else [self._members.one(name) for name in names]
        return {member.name: answer for member, answer in self._members.ask(question, asked).items()}

    def host(self, name: str) -> Host:
        """Return an open host.

        Raises:
            vhal.errors.NotFound: None is called so.
            vhal.errors.VhalError: It can't be opened.
        """
        return self._members.answer(self._members.one(name), lambda host: host)

    def hosts(self, selector: str | Selector = "") -> list[Host]:
        """Return the open hosts that a selector chooses; those that can't be reached are in :meth:`snapshot` only.

        Raises:
            vhal.errors.InvalidSpec: That is no selector.
        """
        wanted = selected(selector)
        self._members.heed()
        chosen = [member for member in self._members if wanted.matches(words(member))]
        return [answer for answer in self._members.ask(lambda host: host, chosen).values() if isinstance(answer, Host)]

    def machines(self, selector: str | Selector = "") -> list[Machine]:
        """Return the machines that a selector chooses, of all hosts that answer: ``team=blue,state=running``.

        Raises:
            vhal.errors.InvalidSpec: That is no selector.
        """
        wanted = selected(selector)
        answers = self._members.ask(Host.machines)
        found = once(
            (member.name, each)
            for member, answer in answers.items()
            if not isinstance(answer, VhalError)
            for each in answer
        )
        return [each for name, each in found if wanted.matches(machine(each.seen, name).words)]

    def find(self, ref: str) -> Machine:
        """Return the machine with a name or id, or ``HOST/NAME``, wherever it is.

        Raises:
            vhal.errors.NotFound: There is none.
            vhal.errors.InvalidSpec: Several are called so; the message says where they are.
            vhal.errors.HostUnreachable: It isn't on those hosts that answer.
        """
        place, slash, name = ref.partition("/")
        if slash and place in self._members:
            return self.host(place).machine(name)
        return find(self._members, ref)

    def create(
        self,
        spec: MachineSpec,
        policy: Policy = "balance",
        *,
        on: str | Selector = "",
        over_s: float = 0.0,
        timeout_s: float | None = None,
    ) -> Machine:
        """Make a machine, stopped, on the host that is best for it.

        Every machine that is on a host counts, running or not, so that what is made here can be started. Two who make
        machines at once, in this process or in two of one user, don't get the same room.

        Args:
            spec: What it shall be.
            policy: What a good host is: the emptiest (``balance``), the fullest that has room (``pack``), or the one
                with the fewest machines of that kind (``spread``).
            on: Which hosts are wanted: ``rack=r1``.
            over_s: Measure loads for so long before; else they are known if there was a snapshot before.
            timeout_s: How long making it may take, once a host was chosen.

        Raises:
            vhal.errors.PlacementRefused: No host can take it; ``explanation`` says of each why not.
            vhal.errors.AlreadyExists: A machine of the fleet has that name.
            vhal.errors.InvalidSpec: Its options don't fit a backend, or there is no such policy.
            vhal.errors.HostUnreachable: The host that was chosen stopped answering: look whether it was made.
        """
        from vhal.fleet.placement.creation import Creation

        return Creation(self, spec, policy, selected(on), over_s).run(timeout_s)

    def explain(
        self, spec: MachineSpec, policy: Policy = "balance", *, on: str | Selector = "", over_s: float = 0.0
    ) -> Explanation:
        """Return where :meth:`create` would make a machine now, and what is said of each host; makes nothing."""
        from vhal.fleet.placement.creation import Creation

        return Creation(self, spec, policy, selected(on), over_s).explain()

    def report(self, *, over_s: float = 0.0) -> UseReport:
        """Return what is bought, allocated, used and wasted, now; ``over_s`` is as in :meth:`snapshot`."""
        from vhal.fleet.figures import report

        return report.report(self.snapshot(over_s=over_s))

    def plan_balance(self, settings: BalanceSettings | None = None, *, over_s: float = 0.0) -> Plan:
        """Return the moves that are worth making now; :meth:`apply` makes them.

        How it is found, :func:`vhal.fleet.balance.plan_balance` says. Each machine is asked whether it can move.

        Args:
            settings: How far to go, and what it may cost.
            over_s: Measure loads for so long before; else they count if there was a snapshot before.

        Raises:
            vhal.errors.Unsupported: numpy or highspy isn't installed.
        """
        from vhal.fleet.balance import plan_balance

        return plan_balance(self.snapshot(over_s=over_s, movable=True), settings)

    def plan_drain(self, *hosts: str, strict: bool = False) -> Plan:
        """Return the moves that empty hosts now; as :func:`vhal.fleet.moves.drain.plan_drain`."""
        from vhal.fleet.moves.drain import plan_drain

        return plan_drain(self.snapshot(movable=True), hosts, strict=strict)

    def plan_restore(self, host: str, *, empty: bool = False, journal: Journal | None = None) -> Plan:
        """Return the moves that bring back what a drain took away; as :func:`vhal.fleet.moves.drain.plan_restore`."""
        from vhal.fleet.moves.drain import plan_restore
        from vhal.journal import opened

        with opened(journal or self._journal) as book:
            return plan_restore(self.snapshot(movable=True), host, book, empty=empty)

    def apply(
        self,
        plan: Plan,
        settings: ApplySettings | None = None,
        *,
        journal: Journal | None = None,
        replan: Replan | None = None,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> Applied:
        """Carry ``plan`` out on this fleet; what that means, :func:`vhal.fleet.moves.apply.apply` says."""
        from vhal.fleet.moves.apply import apply

        journal = journal or self._journal
        return apply(plan, self, settings, journal=journal, replan=replan, on_event=on_event, timeout_s=timeout_s)

    def drain(
        self,
        *hosts: str,
        strict: bool = False,
        settings: ApplySettings | None = None,
        journal: Journal | None = None,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> Applied:
        """Empty hosts: :meth:`plan_drain`, then :meth:`apply`. They stay empty until :meth:`restore`."""
        plan = self.plan_drain(*hosts, strict=strict)
        return self.apply(plan, settings, journal=journal, on_event=on_event, timeout_s=timeout_s)

    def restore(
        self,
        host: str,
        *,
        empty: bool = False,
        settings: ApplySettings | None = None,
        journal: Journal | None = None,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> Applied:
        """Let a drained host be used again, and fill it: :meth:`plan_restore`, then :meth:`apply`."""
        plan = self.plan_restore(host, empty=empty, journal=journal)
        return self.apply(plan, settings, journal=journal, on_event=on_event, timeout_s=timeout_s)

    def cordon(self, *hosts: str, reason: str = "") -> None:
        """Put nothing new on hosts from now on, from whichever process of this user; their machines run on.

        It is written down, and lasts until :meth:`uncordon` or :meth:`restore`. The hosts needn't answer.

        Raises:
            vhal.errors.NotFound: One isn't in the fleet; none was cordoned.
            vhal.errors.JournalError: It can't be written down.
        """
        self._members.cordon(hosts, reason)

    def uncordon(self, *hosts: str) -> tuple[str, ...]:
        """Let hosts be used again that were cordoned, drained or evacuated; return those. Nothing is moved.

        Raises:
            vhal.errors.NotFound: One isn't in the fleet.
            vhal.errors.InvalidState: One is cordoned where the fleet is described, and stays so.
            vhal.errors.Busy: One is being emptied at this moment.
            vhal.errors.JournalError: It can't be written down.
        """
        from vhal.fleet.moves.works import refuse_emptying
        from vhal.journal import opened

        with opened(self._journal) as book:
            refuse_emptying(book, hosts)
        return self._members.uncordon(hosts)

    def mark(self, name: str, status: HostStatus, reason: str = "") -> None:
        """Let a host be up, cordoned or draining from now on, as long as this fleet is open; :meth:`cordon` lasts.

        One that is cordoned or drained lastingly stays so.

        Raises:
            vhal.errors.NotFound: None is called so.
            vhal.errors.InvalidSpec: It is to be unreachable: that is found out.
        """
        self._members.one(name).mark(status, reason)

    def close(self) -> None:
        """Let go of all hosts, except those that it was given open. Idempotent; doesn't wait for one that hangs."""
        self._members.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<Fleet of {len(self)} hosts>"
