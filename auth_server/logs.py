"""Logs: one line for each request, written by orjson; everything else through logging, in the same form."""

import logging
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MANY = 512  # lines that wait at most
WHOLE = 4096  # bytes that a pipe takes in one piece (PIPE_BUF)
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


class Seldom:
    """Warns at most once a second: what keeps one request from its answer may keep all.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, to: logging.Logger, clock: Callable[[], int]) -> None:
        self._log, self._clock, self._warned_at = to, clock, 0

    def warn(self, text: str, *values: object) -> None:
        """Log a warning, unless there was one in this second."""
        now = self._clock()
        if now != self._warned_at:
            self._warned_at = now
            self._log.warning(text, *values)


class AccessLog:
    """One line a request: no query, no header, no body.

    Lines wait for `flush`: a system call in each request would let another thread in, and cost more than all the rest
    of the line. At most a tenth of a second of them is lost when a process is killed.
    """

    def __init__(self, *, json: bool, enabled: bool) -> None:
        self._form = _json_line if json else _text_line
        self._enabled = enabled
        self._waiting: deque[_Answered] = deque()

    def write(self, method: str, path: str, status: int, seconds: float, address: str, actor: str) -> None:
        """Note an answer."""
        if self._enabled:
            self._waiting.append((time.time(), method, path, status, seconds, address, actor))
            if len(self._waiting) >= MANY:
                self.flush()

    def flush(self) -> None:
        """Write the lines, in parts that pipes take whole, so that workers' lines never mix."""
        part = b""
        with suppress(OSError):  # nobody reads any more; requests go on
            while self._waiting:
                try:
                    line = self._form(*self._waiting.popleft())
                except IndexError:  # another thread was faster
                    break
                if len(part) + len(line) > WHOLE:
                    os.write(2, part)
                    part = b""
                part += line
            if part:
                os.write(2, part)


_Answered = tuple[float, str, str, int, float, str, str]


def _json_line(moment: float, method: str, path: str, status: int, seconds: float, address: str, actor: str) -> bytes:
    line = {
        "time": _now(moment),
        "level": "info",
        "event": "request",
        "method": method,
        "path": path,
        "status": status,
        "ms": round(seconds * 1000, 2),
        "address": address,
        "actor": actor,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _text_line(moment: float, method: str, path: str, status: int, seconds: float, address: str, actor: str) -> bytes:
    shown = path.encode("ascii", "backslashreplace").decode()
    at = time.strftime("%H:%M:%S", time.localtime(moment))
    return f"{at} {status} {method} {shown} {seconds * 1000:.1f} ms {address} {actor}\n".encode()


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
