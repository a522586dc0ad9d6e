"""How the documentation is built: `make docs`."""

from groundfog import __version__

project = "Groundfog"
copyright = "the Groundfog authors"
version = release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Groundfog {__version__}"
