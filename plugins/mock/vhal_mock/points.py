"""The points at which the simulator lets faults strike: every one, with what is true there.

The reference page is made from this table, and a test holds it against the code. Calls that only look have two points
each, before and after; so has every call that changes something, and those that do several things have more in between.
"""

from __future__ import annotations

_LOOKS = ("describe", "machines", "inspect", "usage", "ready", "console", "snapshots")
_CHANGES = (
    "create",
    "delete",
    "start",
    "stop",
    "pause",
    "resume",
    "reboot",
    "save",
    "restore",
    "resize",
    "snapshot",
    "revert",
    "delete_snapshot",
    "exec",
    "read_archive",
    "write_archive",
    "migration.offer",
    "migration.examine",
    "migration.prepare",
    "migration.transfer",
    "migration.commit",
    "migration.cancel",
    "migration.release",
    "migration.resume",
)

_INSIDE = {
    "create.after_disk_before_define": "the disks are made, the machine isn't there yet",
    "delete.after_undefine_before_disk": "the machine is gone, its disks aren't yet",
    "start.after_claim_before_power": "its room is claimed, its processors don't run yet",
    "stop.after_request": "the guest was asked, and hasn't stopped yet",
    "save.half": "half of the memory is on disk, the machine stands still",
    "restore.half": "half of the memory is back, the machine doesn't run yet",
    "snapshot.after_data_before_record": "the data is kept, the snapshot isn't known yet",
    "migration.prepare.after_claim": "the destination holds room and name, the source doesn't know yet",
    "migration.transfer.disk": "the disks are on their way, before any memory",
    "migration.transfer.round=N": "round N of the memory begins, from 1; the machine runs",
    "migration.transfer.switch": "the machine stands still on the source, the last bytes aren't sent yet",
    "migration.transfer.post_copy": "the machine runs on the destination, a part of its memory is still on the source",
    "migration.transfer.arrived": "all bytes are there; the machine runs nowhere until the commit",
}

POINTS: dict[str, str] = {
    **{f"{call}.begin": "nothing is done yet" for call in (*_LOOKS, *_CHANGES)},
    **_INSIDE,
    **{f"{call}.end": "it is done, the caller doesn't know yet" for call in (*_LOOKS, *_CHANGES)},
}
"""Name → what is true there. ``=N`` stands for a number."""
