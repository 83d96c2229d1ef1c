"""Logs: one line for each request, written by orjson; everything else through logging, in the same form."""

import logging
import os
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

import orjson

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
log = logging.getLogger("auth_server")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _now(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(line, default=str).decode()


class _NoTokens(logging.Filter):
    """Authlib's DEBUG lines hold tokens (S-150)."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.name.startswith(("authlib", "joserfc")) or record.levelno > logging.DEBUG


def configure(level: str, *, json: bool) -> None:
    """Send all log lines to standard error, from *level* on."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json() if json else text)
    handler.addFilter(_NoTokens())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    log.setLevel(_LEVELS[level])
    logging.captureWarnings(True)  # libraries' warnings in the same form as everything else
    logging.getLogger("alembic").setLevel(logging.WARNING)  # else a first start begins with a page of migrations


class AccessLog:
    """One line a request: no query, no header, no body."""

    def __init__(self, *, json: bool, enabled: bool) -> None:
        self._json, self._enabled = json, enabled

    def write(self, method: str, path: str, status: int, seconds: float, address: str, actor: str) -> None:
        """Write the line in one system call, so that workers' lines never mix."""
        if not self._enabled:
            return
        if self._json:
            line = orjson.dumps(
                {
                    "time": _now(time.time()),
                    "level": "info",
                    "event": "request",
                    "method": method,
                    "path": path,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "address": address,
                    "actor": actor,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        else:
            shown = path.encode("ascii", "backslashreplace").decode()
            spent = f"{seconds * 1000:.1f} ms"
            line = f"{time.strftime('%H:%M:%S')} {status} {method} {shown} {spent} {address} {actor}\n".encode()
        with suppress(OSError):  # nobody reads any more; requests go on
            os.write(2, line)


_second = (0, "")


def _now(moment: float) -> str:
    """RFC 3339 in UTC with milliseconds; the part up to the second is made once a second."""
    global _second
    whole = int(moment)
    known, text = _second
    if known != whole:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _second = (whole, text)
    return f"{text}.{int((moment - whole) * 1000):03d}Z"
