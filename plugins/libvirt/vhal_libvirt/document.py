"""XML, read and written so that no content of it can do harm.

Everything that libvirt or somebody's metadata says is read by :func:`parse`; nothing here knows what it means. The
machine's own document is made in :mod:`vhal_libvirt.domain_xml`.
"""

from __future__ import annotations

from lxml import etree


def parse(text: str) -> etree._Element:
    """Return the root of a document. No entity is resolved, nothing is fetched, sizes are bounded.

    Raises:
        lxml.etree.XMLSyntaxError: It is no XML.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(text.encode(), parser)


def dump(root: etree._Element) -> str:
    """Return a document as indented text."""
    etree.indent(root)
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def child(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    """Return a new last child of ``parent``."""
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def words(root: etree._Element, path: str) -> list[str]:
    """Return the texts of all elements at ``path``, without surrounding blanks."""
    return [(element.text or "").strip() for element in root.iterfind(path)]


def attribute(root: etree._Element, path: str, name: str) -> str | None:
    """Return an attribute of the first element at ``path``, or None if either is missing."""
    element = root.find(path)
    return None if element is None else element.get(name)


def number(root: etree._Element, path: str, name: str, default: int = 0) -> int:
    """Return a whole-number attribute of the first element at ``path``."""
    text = attribute(root, path, name)
    return int(text) if text is not None and text.isdigit() else default
