"""A fleet and what is planned with it, shown to people: text with bars, pictures, pages.

``letters`` is what text is made of, ``text`` the tables of a terminal and ``frame`` a screen of them; ``plot`` is a
picture of a plan (needs matplotlib), ``report`` what is on a plan's page, and ``html`` how any page is drawn. All of
it is made from data: nothing here looks at a host.
"""
