"""A stack's directory with programs of its own, so that no test depends on what this machine has on PATH."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from devctl.errors import ManifestError, Problem
from devctl.manifest.load import load
from devctl.plan import Plan

PROGRAMS = ("python", "node", "sleep")


class Workspace:
    """Writes manifests and loads them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name in PROGRAMS:
            self.write(f"bin/{name}", "#!/bin/sh\n").chmod(0o755)
        self.environ = {"PATH": str(self.bin), "HOME": str(directory)}
        self.warnings: list[Problem] = []

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(
        self,
        text: str | bytes | None = None,
        *,
        files: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        profiles: Sequence[str] = (),
        services: Sequence[str] = (),
        check_commands: bool = True,
    ) -> Plan:
        if text is not None:
            self.write("services.yaml", text)
        return load(
            None if files is None else [Path(file) for file in files],
            directory=self.directory,
            environ={**self.environ, **(environ or {})},
            profiles=profiles,
            services=services,
            check_commands=check_commands,
            warn=self.warnings.append,
        )

    def problems(self, text: str | bytes | None = None, **options: object) -> list[Problem]:
        with pytest.raises(ManifestError) as caught:
            self.load(text, **options)  # type: ignore[arg-type]
        return caught.value.problems

    def service(self, body: str, **options: object) -> Plan:
        """A stack of one service named `web`, of which `body` is the flow map's inside."""
        return self.load("services:\n  web: {" + body + "}\n", **options)  # type: ignore[arg-type]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    directory = tmp_path / "stack"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return Workspace(directory)
