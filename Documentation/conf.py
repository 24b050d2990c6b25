# SPDX-License-Identifier: GPL-2.0
"""Sphinx: make docs -> build/docs/index.html"""
project = "blksnap"
author = "the blksnap developers"
copyright = "2026, the blksnap developers"
root_doc = "index"
html_theme = "alabaster"
html_show_sourcelink = False
html_theme_options = {"page_width": "72em", "sidebar_width": "16em"}
highlight_language = "none"
