"""A snapshot that was changed is another one, also in what was found out from it."""

from __future__ import annotations

from vhal.fleet.snapshot import FleetSnapshot, HostStatus, SeenHost, SeenMachine


def test_a_changed_copy_forgets_what_was_found_out() -> None:
    host = SeenHost(name="a", uuid="u")
    machine = SeenMachine(id="1", name="web", host="a")
    assert (host.words["status"], machine.words["host"]) == ("up", "a")
    assert host.model_copy(update={"status": HostStatus.DRAINING}).words["status"] == "draining"
    assert machine.model_copy(update={"host": "b"}).words["host"] == "b"
    snapshot = FleetSnapshot(hosts=(host,), machines=(machine,))
    digest = snapshot.digest
    assert [each.name for each in snapshot.on["a"]] == ["web"]
    emptied = snapshot.model_copy(update={"machines": ()})
    assert emptied.on["a"] == ()
    assert emptied.digest != digest
    assert snapshot.model_copy().digest == digest
