"""How the documentation is built: ``make docs``. Nothing is fetched, and a reference that leads nowhere fails."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

from sphinx.ext.napoleon.docstring import GoogleDocstring

import vhal

project = "vhal"
version = release = vhal.__version__
copyright = "the vhal authors"  # noqa: A001 - Sphinx wants it under this name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "demo"]
html_theme = "furo"
html_title = f"vhal {version}"

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_rtype = False

# Type variables are not objects of their own: there is nothing to link to.
nitpick_ignore = [("py:class", name) for name in ("T", "P", "M", "O", "K", "V", "P.args", "P.kwargs")]


def _exists(name: str) -> Any:
    """Return the object of a dotted name, or None if there is none."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return None


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: TextElement) -> Element | None:
    """Follow a name to where it is documented; let names of others' libraries be text, if they exist at all.

    vhal hands out its names from several places (``vhal.Host`` is ``vhal.host.Host``), and there is no intersphinx,
    since the build is offline. A name that doesn't exist anywhere is still an error.
    """
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    for name in (target, f"{node.get('py:module')}.{target}", *(f"{home}.{target}" for home in _HOMES)):
        found = _exists(name)
        if found is None:
            continue
        module, qualified = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        home = f"{module}.{qualified}" if module and qualified else name
        for kind in ("obj", "mod"):
            made = env.domains["py"].resolve_xref(
                env, str(node["refdoc"]), app.builder, kind, home if kind == "obj" else name, node, contnode
            )
            if made is not None:
                return made
        return contnode
    return None


_HOMES = (
    "builtins",
    "collections.abc",
    "typing",
    "pydantic",
    "vhal_mock",
    *(info.name for info in pkgutil.walk_packages(vhal.__path__, "vhal.") if not info.name.startswith("vhal.cli")),
)


def _quiet(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what pydantic adds to each model."""
    return True if name in ("model_config", "model_post_init", "kinds") else None


def _plain_fields(model: Any) -> None:
    """Let fields of models show their type without pydantic's constraints, and their default if it is a plain value."""
    own = inspect.get_annotations(model)
    model.__annotations__ = {name: hint for name, hint in get_type_hints(model).items() if name in own}
    for name, field in model.model_fields.items():
        value = field.get_default()
        if name in own and not field.is_required() and isinstance(value, (str, int, float, type(None))):
            # Past pydantic, which keeps defaults where autodoc doesn't look.
            type.__setattr__(model, name, value)
    for subclass in model.__subclasses__():
        _plain_fields(subclass)


def setup(app: Sphinx) -> None:
    """Hook the above into Sphinx."""
    # Plugins import their nouns from these; loading them now keeps lazy names out of the picture.
    for name in ("vhal.spec", "vhal.driver", "vhal.errors", "vhal.aio"):
        for public in importlib.import_module(name).__dict__.get("__all__", ()):
            pkgutil.resolve_name(f"{name}:{public}")
    _plain_fields(pkgutil.resolve_name("vhal.spec:Model"))
    # "Host's own: …" in the docstring of an attribute is a sentence, not Google's "type: description".
    GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-skip-member", _quiet)
