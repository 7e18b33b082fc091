"""The GPUs of a simulated host, and who has which part of them.

A partition has a place: a GPU with eight memory slices takes a profile only at some of them, so which partitions can
still be made depends on where the ones before were put. The places are NVIDIA's, as ``nvidia-smi mig -lgipp`` prints
them for A100, H100 and A30. Of all places for a new partition the one is taken that leaves the most places for others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhal.spec.devices import Gpu
    from vhal_mock.model import GpuModel

GIB = 1 << 30

WIDE = {
    "1g": (1, (0, 1, 2, 3, 4, 5, 6)),
    "1g+": (2, (0, 2, 4, 6)),
    "2g": (2, (0, 2, 4)),
    "3g": (4, (0, 4)),
    "4g": (4, (0,)),
    "7g": (8, (0,)),
}
"""Profile of an A100 or H100 → memory slices it takes, and the slice it may begin at. ``1g+`` is the one with twice the
memory."""

NARROW = {"1g": (1, (0, 1, 4, 5)), "2g": (2, (0, 4)), "4g": (8, (0,))}
"""The same for an A30, whose four compute slices stand in eight places."""

PARTED = ("A100", "A30", "H100")
"""Models whose places are known, each with all that begins with its name."""

SLICES = 8


def places(model: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return profile → (slices, where it may begin) for a model of GPU."""
    return NARROW if model.upper().startswith("A30") else WIDE


def memory_of(profile: str, model: GpuModel) -> int:
    """Return the bytes of memory of a profile: by memory slices, but an A30's by its four compute slices."""
    known = places(model.model)
    if known is NARROW:
        return model.memory * int(profile[0]) // 4
    return model.memory * known[profile][0] // SLICES


def profile_of(name: str, model: GpuModel) -> str | None:
    """Return the key in :func:`places` of a profile as NVIDIA names it (``1g.10gb``), or None if there is no such."""
    size, _, memory = name.partition(".")
    known = places(model.model)
    if not memory:
        return size if size in known else None
    for key in known:
        gigabytes = round(memory_of(key, model) / GIB)
        if key.rstrip("+") == size and memory == f"{gigabytes}gb":
            return key
    return None


def names(model: GpuModel) -> list[str]:
    """Return the profiles of a GPU as NVIDIA names them."""
    return [f"{key.rstrip('+')}.{round(memory_of(key, model) / GIB)}gb" for key in places(model.model)]


@dataclass(frozen=True, slots=True)
class Part:
    """What of one GPU a machine has."""

    gpu: int
    """Number of the GPU on its host."""
    memory: int
    """Bytes of its memory."""
    start: int = 0
    """The slice it begins at."""
    slices: int = SLICES
    share: float = 1.0


@dataclass(slots=True)
class SimGpu:
    """One GPU."""

    model: GpuModel
    parts: dict[str, list[Part]] = field(default_factory=dict)
    """Machine's id → what it has."""

    def taken(self) -> set[int]:
        """Return the slices that somebody has."""
        return {
            place
            for parts in self.parts.values()
            for part in parts
            for place in range(part.start, part.start + part.slices)
        }

    def left(self) -> float:
        """Return the fraction of its time that nobody has."""
        return 1.0 - fsum(part.share for parts in self.parts.values() for part in parts)

    def place(self, wanted: Gpu, number: int) -> Part | None:
        """Return where ``wanted`` can be on this GPU, or None."""
        model = self.model
        if not matches(wanted, model):
            return None
        if wanted.share is not None:
            fits = model.scheme == "share" and self.left() >= wanted.share - 1e-9
            return Part(number, int(model.memory * wanted.share), slices=0, share=wanted.share) if fits else None
        if wanted.profile is None:
            return Part(number, model.memory) if model.scheme == "passthrough" and not self.parts else None
        key = profile_of(wanted.profile, model)
        if key is None or model.scheme not in ("mig", "vgpu"):
            return None
        slices, starts = places(model.model)[key]
        taken = self.taken()
        free = [start for start in starts if not taken & set(range(start, start + slices))]
        if not free:
            return None
        best = max(free, key=lambda start: (_room(taken | set(range(start, start + slices)), model.model), start))
        return Part(number, memory_of(key, model), best, slices, slices / SLICES)


def matches(wanted: Gpu, model: GpuModel) -> bool:
    """Return whether a GPU of this model is of the kind that is wanted, were it empty."""
    if wanted.cdi is not None or (wanted.vendor is not None and "nvidia" not in wanted.vendor):
        return False
    if wanted.model is not None and wanted.model.lower() not in model.model.lower():
        return False
    if wanted.profile is not None and (
        model.scheme not in ("mig", "vgpu") or profile_of(wanted.profile, model) is None
    ):
        return False
    if wanted.share is not None and model.scheme != "share":
        return False
    if wanted.profile is None and wanted.share is None and model.scheme != "passthrough":
        return False
    return wanted.memory is None or wanted.memory <= model.memory


def _room(taken: set[int], model: str) -> int:
    """Return how many partitions, of any profile at any place, could still be made."""
    return sum(
        not taken & set(range(start, start + slices)) for slices, starts in places(model).values() for start in starts
    )


def assign(gpus: list[SimGpu], wanted: tuple[Gpu, ...]) -> list[Part] | None:
    """Return a part for each of the GPUs that are wanted, or None if they can't all be had; claims nothing.

    Of several GPUs the fullest that can take it is used, so that whole ones stay whole.
    """
    found: list[Part] = []
    trial = [SimGpu(gpu.model, dict(gpu.parts)) for gpu in gpus]
    for each in wanted:
        options = [(gpu, part) for number, gpu in enumerate(trial) if (part := gpu.place(each, number)) is not None]
        if not options:
            return None
        gpu, part = max(options, key=lambda option: (len(option[0].taken()), -option[0].left(), -option[1].gpu))
        gpu.parts = {**gpu.parts, f"#{len(found)}": [part]}
        found.append(part)
    return found
