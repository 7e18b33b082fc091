"""The test bed by hand: `up 2 --engines 2`, `status`, `exec a -- virsh list`, `exec pa -- podman ps`, `down`."""

from __future__ import annotations

import argparse
import json
import sys

from .errors import LabError
from .lab import Lab, in_use
from .state import StateFile


def _current(state: StateFile) -> Lab | None:
    """Return the lab that is up. One which has ended meanwhile is forgotten."""
    folder = state.read()
    if folder is None:
        return None
    try:
        return Lab.attach(folder)
    except LabError:
        if in_use(folder):
            raise
        state.remove()
        return None


def _show(lab: Lab | None, *, as_json: bool) -> None:
    hosts = [
        {
            "name": host.name,
            "ip": host.ip,
            "uuid": host.uuid,
            "url": host.url,
            "native_uri": host.native_uri,
            "tcp_uri": host.tcp_uri,
        }
        for host in (lab.hosts if lab else ())
    ]
    engines = [
        {"name": engine.name, "ip": engine.ip, "url": engine.url, "socket": str(engine.socket)}
        for engine in ((*lab.engines, *lab.dockers) if lab else ())
    ]
    if as_json:
        shared = str(lab.shared) if lab else None
        print(json.dumps({"up": lab is not None, "shared": shared, "hosts": hosts, "engines": engines}, indent=2))
    elif lab is None:
        print("no lab is up")
    else:
        print(f"shared folder {lab.shared}")
        for host in hosts:
            print(f"{host['name']}  {host['ip']}\n  vhal     {host['url']}")
            print(f"  libvirt  {host['native_uri']}")
        for engine in engines:
            print(f"{engine['name']}  {engine['ip']}\n  vhal     {engine['url']}")
            print(f"  engine   unix://{engine['socket']}")


def _up(state: StateFile, hosts: int, engines: int, dockers: int, *, as_json: bool) -> int:
    if _current(state) is not None:
        raise LabError("a lab is up already; `python -m tests.testbed down` takes it down")
    lab = Lab(hosts, engines, dockers, detached=True)
    lab.start()
    try:
        state.write(lab.folder)
    except BaseException:
        lab.stop()
        raise
    _show(lab, as_json=as_json)
    return 0


def _down(state: StateFile) -> int:
    lab = _current(state)
    if lab is not None:
        lab.stop()
        state.remove()
    return 0


def _exec(state: StateFile, name: str, command: list[str]) -> int:
    lab = _current(state)
    if lab is None:
        raise LabError("no lab is up; `python -m tests.testbed up 2` puts one up")
    nodes = {node.name: node for node in (*lab.hosts, *lab.engines, *lab.dockers)}
    if name not in nodes:
        raise LabError(f"no host {name!r}; there are {', '.join(nodes)}")
    return nodes[name].call(command)


def main() -> int:
    """Do what the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="put up a lab which stays until taken down")
    up.add_argument("hosts", type=int, nargs="?", default=2, help="how many with libvirt")
    up.add_argument("--engines", type=int, default=0, help="how many with podman")
    up.add_argument("--dockers", type=int, default=0, help="how many with docker")
    status = verbs.add_parser("status", help="show the lab that is up")
    for verb in (up, status):
        verb.add_argument("--json", action="store_true")
    verbs.add_parser("down", help="take the lab down")
    inside = verbs.add_parser("exec", help="run a command on a host of the lab")
    inside.add_argument("host")
    inside.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    state = StateFile.default()
    try:
        match arguments.verb:
            case "up":
                return _up(state, arguments.hosts, arguments.engines, arguments.dockers, as_json=arguments.json)
            case "status":
                _show(_current(state), as_json=arguments.json)
                return 0
            case "down":
                return _down(state)
            case _:
                return _exec(state, arguments.host, arguments.command)
    except LabError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
