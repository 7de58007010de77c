"""The documentation site: `./dev docs` builds it into site/, with every warning an error.

Nothing is fetched from a network, neither while it is built nor while it is read, from the disk or a server.
"""

import re
from importlib.metadata import version as version_of
from typing import Any

from sphinx.domains.python import PyObject

project = "eventrouter"
author = "the eventrouter authors"
project_copyright = author
release = version = version_of("eventrouter")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

html_theme = "furo"
html_title = "eventrouter"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # as GitHub has them, so that links lead somewhere in both

napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are told of where their class is, and once
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseModel,BaseException,tuple",  # what these have is theirs
    "exclude-members": "__init__, __new__",
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = "$ "


def prepare(_app: object, what: str, _name: str, _of: object, _options: object, lines: list[str]) -> None:
    """Make docstrings what napoleon reads as it is meant.

    Code between single backticks becomes literal: its backslashes and colons mean nothing. And the first line of a
    property is text, also when it has a colon; before one, napoleon would look for a type.
    """
    lines[:] = re.sub(r"(?<![`:\w])`([^`]+)`(?!`)", r"``\1``", "\n".join(lines)).split("\n")
    if what == "property":
        lines.insert(0, "")


def setup(app: Any) -> None:
    """Read docstrings before napoleon does, whose priority is 500, and call attributes what docstrings call them."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("autodoc-process-docstring", prepare, priority=400)
