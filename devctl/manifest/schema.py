"""The JSON Schema of services.yaml, from the same tables the loader reads with."""

from __future__ import annotations

from typing import Any

from devctl.manifest.table import LOGGING, MANIFEST, SERVICE

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """A draft 2020-12 schema. It accepts what the loader accepts, as far as one file alone can tell.

    A `${VAR}` is accepted everywhere, as its value is not known. `command` and `services` are not required: an override file
    has what it changes and nothing else.
    """
    return {
        "$schema": DRAFT,
        "title": "services.yaml of devctl",
        "description": "The services of a stack, and how they are started, checked and stopped.",
        **MANIFEST.definition(),
        "type": "object",
        "$defs": {"service": SERVICE.definition(), "logging": LOGGING.definition()},
    }
