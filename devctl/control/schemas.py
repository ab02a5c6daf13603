"""JSON Schemas (2020-12) of what the control API takes and gives: the `json()` shapes of `devctl.model`, written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devctl.control.problems import CODES
from devctl.model import ServiceState, StackState

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}


def ref(name: str) -> Schema:
    """A reference to one of `COMPONENTS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """`schema` or null."""
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else {"oneOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    """A list of `items`."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """An object with any keys."""
    return {"type": "object", "additionalProperties": values}


def obj(properties: Mapping[str, Schema], *, optional: bool = False, **more: Any) -> Schema:
    """An object with exactly these keys, all of them required unless `optional`."""
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**schema, **({} if optional else {"required": list(properties)}), **more}


COMPONENTS: dict[str, Schema] = {
    "Error": obj(
        {
            "error": obj(
                {
                    "code": {"type": "string", "enum": sorted(CODES)},
                    "message": {**STRING, "description": "What happened, and where."},
                    "mend": {**STRING, "description": "What would mend it; may be empty."},
                    "exit_status": {**INTEGER, "description": "The exit status of a command that fails with this."},
                }
            )
        }
    ),
    "Health": obj({"probe": STRING, "ok": BOOLEAN, "detail": STRING, "checked_at": TIME, "failures": COUNT}),
    "ServiceState": {"type": "string", "enum": [state.value for state in ServiceState]},
    "ServiceStatus": obj(
        {
            "name": STRING,
            "state": ref("ServiceState"),
            "reason": nullable(STRING),
            "pid": nullable(INTEGER),
            "ports": {**mapping(INTEGER), "description": "Port names and numbers; `port:` has the name default."},
            "url": nullable(STRING),
            "started_at": nullable(TIME),
            "ready_at": nullable(TIME),
            "startup_seconds": nullable(NUMBER),
            "restarts": COUNT,
            "exit_code": nullable(INTEGER),
            "processes": {**COUNT, "description": "In the whole tree."},
            "cpu_percent": {**NUMBER, "description": "Of the whole tree; 100 is one core."},
            "memory_bytes": {**COUNT, "description": "Of the whole tree."},
            "health": nullable(ref("Health")),
            "depends_on": array(STRING),
            "log": {**STRING, "description": "Path of the log file."},
            "description": STRING,
        }
    ),
    "Services": obj({"services": array(ref("ServiceStatus"))}),
    "StackStatus": obj(
        {
            "stack": STRING,
            "directory": STRING,
            "run_id": STRING,
            "state": {"type": "string", "enum": [state.value for state in StackState]},
            "started_at": TIME,
            "supervisor": obj({"pid": INTEGER, "guard_pid": INTEGER, "sweeper_pid": INTEGER, "socket": STRING, "version": STRING}),
            "services": array(ref("ServiceStatus")),
        }
    ),
    "Explanation": obj(
        {
            "service": STRING,
            "state": ref("ServiceState"),
            "sentence": STRING,
            "evidence": array(obj({"label": STRING, "text": STRING})),
            "chain": {**array(STRING), "description": "From the service asked about to the root cause."},
        }
    ),
    "Environment": obj({"environment": mapping(STRING), "argv": array(STRING), "working_dir": STRING}),
    "HealthHistory": obj(
        {
            "check": nullable(
                obj(
                    {
                        "probe": {"type": "object", "properties": {"kind": STRING}, "required": ["kind"]},
                        "interval": {**NUMBER, "description": "Seconds, as the next ones."},
                        "timeout": NUMBER,
                        "retries": COUNT,
                        "start_period": NUMBER,
                        "start_interval": {**nullable(NUMBER), "description": "Null: adaptive, at most 0.1 s apart."},
                    }
                )
            ),
            "history": array(
                obj(
                    {
                        "time": TIME,
                        "until": {**TIME, "description": "Of the last of them."},
                        "count": {**COUNT, "description": "Equal answers in a row, but for how long they took."},
                        "ok": BOOLEAN,
                        "detail": {**STRING, "description": "Of the last of them."},
                        "seconds": {**NUMBER, "description": "How long the last one took."},
                        "slowest": NUMBER,
                    }
                )
            ),
        }
    ),
    "Processes": obj(
        {
            "processes": array(
                obj(
                    {
                        "pid": INTEGER,
                        "ppid": INTEGER,
                        "command": STRING,
                        "state": STRING,
                        "cpu_percent": {**NUMBER, "description": "Of one core, since somebody asked last."},
                        "memory_bytes": COUNT,
                        "started_at": nullable(TIME),
                        "kind": {"type": "string", "enum": ["main", "child", "adopted"]},
                    }
                )
            ),
            "total": {**COUNT, "description": "How many there are; the list is bounded."},
        }
    ),
    "Timeline": obj(
        {
            "entries": array(
                obj(
                    {
                        "service": STRING,
                        "waiting_from": {**NUMBER, "description": "Seconds since the run began, as the next two."},
                        "started": nullable(NUMBER),
                        "ready": nullable(NUMBER),
                        "state": ref("ServiceState"),
                        "depends_on": array(STRING),
                        "critical": {**BOOLEAN, "description": "Part of the critical path."},
                    }
                )
            )
        }
    ),
    "Event": {
        "type": "object",
        "description": "One entry of the history. What else it holds depends on its type.",
        "properties": {"id": COUNT, "time": TIME, "run_id": STRING, "type": STRING, "service": nullable(STRING)},
        "required": ["id", "time", "run_id", "type", "service"],
    },
    "Events": obj({"events": array(ref("Event"))}),
    "LogLine": obj({"time": TIME, "service": STRING, "stream": {"type": "string", "enum": ["stdout", "stderr"]}, "text": STRING}),
    "WaitResult": obj(
        {
            "done": BOOLEAN,
            "timed_out": BOOLEAN,
            "services": array(ref("ServiceStatus")),
            "impossible": {**array(STRING), "description": "Services for which it can no longer happen."},
        }
    ),
    "ReloadResult": obj({key: array(STRING) for key in ("started", "restarted", "stopped", "unchanged")}),
    "Receipt": obj(
        {
            "services": COUNT,
            "processes": COUNT,
            "ports": array(INTEGER),
            "seconds": NUMBER,
            "killed": COUNT,
            "survivors": array(obj({"pid": INTEGER, "command": STRING, "reason": STRING})),
        }
    ),
    "ServerHealth": obj({"status": {"const": "ok"}, "version": STRING, "run_id": STRING}),
    "Nothing": obj({}),
}
