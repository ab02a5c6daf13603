"""Logging: one line a record on standard output, and in a file when there is one, `[timestamp] [LEVEL] message {json}`.

The JSON object holds the record's fields and the id of the request it belongs to. It is left out when there are none.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import Any

from stack.common.settings import SettingError

# Between INFO and WARNING: numbers are wanted by default, and should survive LOG_LEVEL=metric.
METRIC = 25

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "metric": METRIC,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

# Bytes of the file until a new one begins, and how many full ones are kept: what devctl keeps of a service by default.
_FILE_BYTES = 20_000_000
_FILES = 4

request_id: ContextVar[str] = ContextVar("request_id", default="")


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: dict[str, Any] = dict(getattr(record, "fields", None) or {})
        if current := request_id.get():
            fields["request_id"] = current
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        message = _printable(record.getMessage())
        tail = f" {json.dumps(fields, default=str)}" if fields else ""
        return f"[{moment}] [{record.levelname}] {message}{tail}"


def _printable(text: str) -> str:
    """The text with escapes for what is no printable character.

    A message may quote what a client sent: a newline in it must not start a line that looks like a record, nor steer a terminal.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


class Log:
    """A logger whose keyword arguments become the fields of the record."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **fields: Any) -> None:
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write(logging.INFO, message, fields)

    def metric(self, message: str, **fields: Any) -> None:
        """A measurement, such as how long the model took to load."""
        self._write(METRIC, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
        self._write(logging.ERROR, message, fields, exc_info)

    def _write(self, level: int, message: str, fields: dict[str, Any], exc_info: BaseException | None = None) -> None:
        self._logger.log(level, "%s", message, extra={"fields": fields}, exc_info=exc_info)


def configure() -> None:
    """Send every record at or above LOG_LEVEL (default `info`) to standard output, and to the file LOG_FILE when that is set.

    Raises:
        SettingError: LOG_LEVEL is no level, or LOG_FILE cannot be written.
    """
    name = os.environ.get("LOG_LEVEL", "").strip().lower() or "info"
    if name not in LEVELS:
        raise SettingError(f"LOG_LEVEL={name!r}: give one of {', '.join(LEVELS)}")
    logging.addLevelName(METRIC, "METRIC")
    # A reader that went away must not turn every record into a traceback.
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if path := os.environ.get("LOG_FILE", "").strip():
        try:
            handlers.append(RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8"))
        except OSError as error:
            raise SettingError(f"LOG_FILE={path!r}: give a file that can be written ({error.strerror or error})") from error
    for handler in handlers:
        handler.setFormatter(_Formatter())
    logging.basicConfig(level=LEVELS[name], handlers=handlers, force=True)
    # Libraries tell at INFO what the services' own records say already.
    for library in ("uvicorn", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(max(logging.WARNING, LEVELS[name]))
