"""From the hosts that a fleet was given to its members: what each is called, and that none is there twice.

Names are in rules, plans and tables; so the name of a host that was given without one doesn't depend on whether it
answers, but is taken from its URL: the host in it, or the last of the path where several have that in common, or all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from vhal.driver.url import HostUrl
from vhal.errors import InvalidConfig, InvalidUrl, VhalError
from vhal.fleet.members.entry import HostEntry, Keeping
from vhal.fleet.members.member import Member
from vhal.host import Host
from vhal.opener import locate

Given = str | Host | HostEntry
"""A URL or the name of a named host, an open host, or what is said of one."""


def members(given: Iterable[Given] | Mapping[str, Given], defaults: Keeping) -> list[Member]:
    """Return the members of a fleet of these hosts.

    Args:
        given: Hosts, or name → host.
        defaults: For hosts that say nothing themselves.

    Raises:
        vhal.errors.InvalidUrl: A URL is malformed; the error says whose.
        vhal.errors.NotFound: No host has that name.
        vhal.errors.InvalidConfig: A host is there twice, or they are no list.
    """
    if isinstance(given, str):
        raise InvalidConfig(f"{given!r} is one host, and a fleet is a list of them", hint=f"give it as [{given!r}]")
    named = list(given.items()) if isinstance(given, Mapping) else [("", each) for each in given]
    found = [_member(name, each, defaults) for name, each in named]
    for (member, _), own in zip(found, _names([url for _, url in found]), strict=True):
        member.name = member.name or own
    _refuse_doubles(found)
    return [member for member, _ in found]


def _member(name: str, given: Given, defaults: Keeping) -> tuple[Member, HostUrl]:
    if isinstance(given, Host):
        url = _of_open(name, given)
        return Member(name, HostEntry(url=given.url).over(defaults), given.backend, given), url
    entry = given if isinstance(given, HostEntry) else HostEntry(url=given)
    try:
        url = locate(entry.url)
    except VhalError as error:
        error.host = error.host or name or None
        raise
    return Member(name or (entry.url if ":" not in entry.url else ""), entry.over(defaults), url.backend), url


def _of_open(name: str, host: Host) -> HostUrl:
    """Return the URL of an open host; one that was made from a driver has none, and is called what it calls itself."""
    try:
        return HostUrl.parse(host.url)
    except InvalidUrl:
        return HostUrl(host.backend, host=name or host.info().name, path=f"/{host.uuid}")


def _names(urls: Sequence[HostUrl]) -> list[str]:
    choices = [(url.host or _end(url), _end(url), str(url)) for url in urls]
    common = [Counter(level) for level in zip(*choices, strict=True)]
    return [
        next((name for name, taken in zip(mine, common, strict=True) if taken[name] == 1), mine[-1]) for mine in choices
    ]


def _end(url: HostUrl) -> str:
    return url.path.rstrip("/").rpartition("/")[2] or url.backend


def _refuse_doubles(found: Sequence[tuple[Member, HostUrl]]) -> None:
    names: set[str] = set()
    places: dict[HostUrl | str, str] = {}
    for member, url in found:
        other = places.setdefault(str(url), member.name)
        if other != member.name:
            raise InvalidConfig(
                f"{other!r} and {member.name!r} are one host: both are {url}",
                hint="leave one of them out of the fleet",
                host=member.name,
            )
        if member.name in names:
            raise InvalidConfig(
                f"host {member.name!r} is in the fleet twice", hint="leave one of them out", host=member.name
            )
        names.add(member.name)
