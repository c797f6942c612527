"""The settings of the documentation; `make docs` builds it, without the network."""

from heliograph import __version__

project = "Heliograph"
author = "Heliograph contributors"
copyright = "Heliograph contributors"
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Heliograph {release}"
