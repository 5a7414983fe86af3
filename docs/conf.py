"""Sphinx configuration; `make docs` builds into docs/_build/html. Nothing is fetched from the network."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
sys.path.insert(0, str(DOCS / "_ext"))

os.environ["OMP_NUM_THREADS"] = "1"  # for the notebooks' kernels: timings that compare, and room for other processes
os.environ["SCENEKIT_DOCS_REPOSITORY"] = str(REPOSITORY)  # the notebooks run in folders of their own
os.environ.setdefault("COLUMNS", "100")  # tables of the command line, as wide as a page

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
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"  # `make docs` starts without one
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}

nitpicky = True
# Types of the standard library, torch and the like, and type variables, have no page here; ours must have one.
nitpick_ignore_regex = [(r"py:.*", r"(?!scenekit|sk\.).*")]
