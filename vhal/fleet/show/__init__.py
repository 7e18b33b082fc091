"""A fleet and what is planned with it, shown to people: text with bars, pictures, pages.

``letters`` is what text is made of, ``text`` the tables of a terminal, ``plot`` a picture of a plan (needs matplotlib),
``report`` what is on the page of a plan and ``html`` how any page is drawn. All from data: nothing here looks at a host.
"""
