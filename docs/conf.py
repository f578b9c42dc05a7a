"""Sphinx configuration of the web site: ``make docs`` builds it from these pages and the docstrings."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "neural_seg_ros"
author = "neural_seg_ros developers"
project_copyright = f"2026, {author}"
version = release = ET.parse(ROOT / "package.xml").findtext("version")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"neural_seg_ros {release}"

# Links to headings, such as launch.md#docker.
myst_heading_anchors = 4
# A robot has these, a machine that builds the site need not.
autodoc_mock_imports = ["rclpy"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}

# Pages of the site that include a file of the root.
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def setup(app: Any) -> None:
    """Have links to files of the root lead to the pages that include them."""
    app.connect("source-read", lambda app, name, content: _link(content, "../", ""))
    app.connect("include-read", lambda app, path, name, content: _link(content, "", "docs/"))


def _link(content: list[str], before: str, after: str) -> None:
    for file, page in PAGES.items():
        content[0] = content[0].replace(f"]({before}{file}", f"]({after}{page}")
