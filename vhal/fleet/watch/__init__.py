"""A fleet that is kept cool.

Begin with :class:`vhal.fleet.watch.watch.Watch`; when it acts says its ``policy``, and what was moved ``lately``.
``cool`` chooses machines that leave hot hosts by what each is used to do, its ``habit``.
"""
