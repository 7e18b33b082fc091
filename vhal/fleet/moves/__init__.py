"""Machines that move: hosts are emptied and filled again, and plans are carried out.

``drain`` and ``evacuate`` plan how hosts that live, or are dead, are emptied; both look for places by ``emptying``.
``apply`` begins to carry a plan out: ``outdated`` says whether it still fits, ``carrier`` makes the moves with what is
known at ``present``, ``anew`` plans the rest where one failed, without what ``hindered`` it, and ``applied`` is what
came of it. ``works`` is what is written down of all this in the journal.
"""
