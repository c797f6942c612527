"""The settings of the documentation; `make docs` builds it, without the network."""

import sys
from pathlib import Path

import django
from django.conf import settings

from heliograph import __version__

sys.path.insert(0, str(Path(__file__).parent))  # for docstrings.py

project = "Heliograph"
author = "Heliograph contributors"
copyright = "Heliograph contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True  # a name of the reference that another entry names must be there
# Types of Python and Django, and private ones, stand in signatures under their short names and lead nowhere.
nitpick_ignore_regex = [
    ("py:(class|obj|data)", r"(?!heliograph\.).*"),
    # These are in the types of overloads and properties, which autodoc writes by itself.
    ("py:class", r"heliograph\.(audit\.rows_as_of\.M|dispatch\.django_shape\.\w+|flow(\.\w+)+)"),
]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # `retry=Retry()`, as it is written
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 76
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_favicon = "../examples/shop/backoffice/static/backoffice/logo.svg"
html_title = f"Heliograph {release}"

# The docstrings are read from the imported modules, and those with models need their apps.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "heliograph",
        "heliograph.audit",
        "heliograph.outbox",
        "heliograph.recipes.search",
        "heliograph.recipes.webhooks",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()
