"""`devctl export`."""

from __future__ import annotations

import yaml

from tests.cli.driver import Project

MANIFEST = """
name: shop
services:
  web: {command: sleep 9}
  db: {command: no-such-program, profiles: [tools], labels: {container.image: "redis:8"}}
"""


def test_export_writes_a_file(project: Project) -> None:
    """What is exported goes to the file, what is left out to stderr; no program needs to be installed."""
    project.write(MANIFEST)
    result = project.run("--profile", "tools", "export", "docker-compose", "-o", "docker-compose.yml")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith("left out: web\n")
    text = (project.root / "docker-compose.yml").read_text()
    assert text.startswith("# Made by `devctl --profile tools export docker-compose`")
    assert yaml.safe_load(text) == {"name": "shop", "services": {"db": {"image": "redis:8"}}}


def test_formats_of_later_are_refused(project: Project) -> None:
    """With exit status 2, and what there is."""
    result = project.run("export", "kubernetes")
    assert (result.returncode, result.stdout) == (2, "")
    assert "kubernetes is not in this version; devctl writes docker-compose" in result.stderr
