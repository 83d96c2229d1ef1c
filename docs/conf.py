"""Sphinx's settings for the site; `make docs` builds it from here and from pages that it makes itself."""

from auth_server import __version__

project = "auth-server"
version = release = __version__
html_title = "auth-server"
extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["alert", "attrs_block"]
suppress_warnings = ["misc.highlighting_failure"]  # output that is shortened with … is no JSON

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_favicon = "_static/mark.svg"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
html_theme_options = {
    "top_of_page_buttons": [],
    "footer_icons": [],
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "light_css_variables": {"color-brand-primary": "#2f5bd0", "color-brand-content": "#244ebe"},
    "dark_css_variables": {"color-brand-primary": "#8fb0ff", "color-brand-content": "#9ebbff"},
}
