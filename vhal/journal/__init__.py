"""What is in flight, kept so that a run that was killed can be gone on with: works and their steps.

A work is something with several steps: carrying out a plan. Each step is written down before it is begun and after it
has ended; whoever comes later sees which steps may have been under way. What a step did is not for the journal to say:
the engines are asked. What ended stays for a while, so that a drain can be undone; what hasn't ended stays.

It knows no machines. What kinds of works and steps there are, and what their data means, is up to those who write
them: :mod:`vhal.fleet.moves.carrier`.
"""

from vhal.journal.file import FORMAT, Held, Journal, default_path, opened
from vhal.journal.work import Step, StepState, Work

__all__ = ["FORMAT", "Held", "Journal", "Step", "StepState", "Work", "default_path", "opened"]
