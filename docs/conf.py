"""Sphinx configuration; `make docs` builds into docs/_build/html. Nothing is fetched from the network."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "scenekit"
author = "The scenekit authors"
release = version = version_of("scenekit")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_design", "scenekit_docs"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
html_title = f"scenekit {release}"
html_static_path = ["_static"]
html_css_files = ["scenekit.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
default_role = "code"
python_maximum_signature_line_length = 90

smartquotes = False
myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "deflist", "dollarmath"]
html_math_renderer = "mathml"  # of scenekit_docs.formulas
myst_heading_anchors = 3
nb_execution_mode = "cache"  # `make docs` starts without one
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

suppress_warnings = ["ref.python"]  # `object` is a built-in type, and a field of several records
nitpicky = True
nitpick_ignore = [
    ("py:class", "scenekit.model.timing.StepTimer"),  # internal: users read `Outputs.seconds`
    ("py:class", "scenekit.streaming.stream.Loop"),  # internal: `sk.stream` creates it
    ("py:class", "scenekit.world.map_object.Kept"),  # internal: what a map object is computed from
    ("py:class", "scenekit.metrics.common.Id"),  # a type variable
]
# Types of the standard library, torch and the like, and type variables, have no page here; ours must have one.
nitpick_ignore_regex = [(r"py:.*", r"(?!scenekit|sk\.).*"), (r"py:class", r"scenekit\..*\.[A-Z]")]
