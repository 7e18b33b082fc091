"""Rules that no fleet of these hosts can keep, found before anything is placed by them.

It finds what follows from the rules' texts and the hosts' labels. What depends on which machines there are, placement
and balance say: more machines that must be apart than there are racks, for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from vhal.errors import InvalidConfig
from vhal.fleet.rules import HOST, Apart, Never, Only, Rule, Together
from vhal.fleet.selector import Selector

Words = Mapping[str, str]

SHOWN = 10
"""So many names, and labels, of hosts are in a hint."""


def refuse_contradictions(rules: Sequence[Rule], hosts: Sequence[Words]) -> None:
    """Return if all rules can be kept together.

    Args:
        rules: In their order.
        hosts: What is known of each host without asking it.

    Raises:
        vhal.errors.InvalidConfig: They can't; the message has the rules.
    """
    named = [(title(rule, number), rule) for number, rule in enumerate(rules)]
    for name, rule in named:
        if isinstance(rule, (Apart, Together)) and rule.domain != HOST:
            _refuse_strange_domain(name, rule.domain, hosts)
        if isinstance(rule, Together):
            _refuse_apart(name, rule, named)
        if isinstance(rule, (Only, Never)):
            _refuse_nowhere(rule, named, hosts)


def title(rule: Rule, number: int) -> str:
    """Return what to call a rule when it is told of; ``number`` is its place among the rules."""
    return f"rules[{number}] ({rule.kind} {rule.name or rule.machines})"


def _refuse_strange_domain(name: str, domain: str, hosts: Iterable[Words]) -> None:
    known = sorted({key for words in hosts for key in words})
    if domain not in known:
        near = get_close_matches(domain, known, 1)
        raise InvalidConfig(
            f"{name}: domain {domain!r} is no label of any host",
            hint=f"did you mean {near[0]!r}?" if near else f"give the hosts that label, or write domain = {HOST!r}",
        )


def _refuse_apart(name: str, rule: Together, named: Iterable[tuple[str, Rule]]) -> None:
    for other_name, other in named:
        if not isinstance(other, Apart) or rule.domain not in (HOST, other.domain):
            continue
        if _within(rule.machines, other.machines) or _within(other.machines, rule.machines):
            raise InvalidConfig(
                f"{name} and {other_name} contradict each other: the same machines can't be together and apart",
                hint="leave one of the rules out, or let them choose different machines",
            )


def _refuse_nowhere(rule: Only | Never, named: Iterable[tuple[str, Rule]], hosts: Sequence[Words]) -> None:
    """Refuse if all that is said of the machines of ``rule`` leaves them no host."""
    left = list(hosts)
    said = []
    for name, other in named:
        if isinstance(other, (Only, Never)) and _within(rule.machines, other.machines):
            said.append(name)
            left = [words for words in left if other.hosts.matches(words) is isinstance(other, Only)]
    if hosts and not left:
        who = " and ".join(said) + (" leaves" if len(said) == 1 else " leave")
        raise InvalidConfig(
            f"{who} no host for machines {str(rule.machines) or 'of any kind'!r}",
            hint=f"let at least one be left: {_described(hosts)}",
        )


def _described(hosts: Sequence[Words]) -> str:
    """Return what a rule could choose hosts by: their names, and the labels of all of them."""
    names = [words["name"] for words in hosts]
    facts = {(key, value) for words in hosts for key, value in words.items() if key not in ("name", "host")}
    known = sorted(f"{key}={value}" for key, value in facts)
    return f"there are {_some(names)}, with {_some(known)}"


def _some(words: Sequence[str]) -> str:
    return ", ".join([*words[:SHOWN], "…"] if len(words) > SHOWN else words)


def _within(inner: Selector, outer: Selector) -> bool:
    """Whether all that ``inner`` chooses is surely chosen by ``outer``: it has all of its conditions."""
    return set(outer.terms) <= set(inner.terms)
