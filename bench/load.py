"""Load by wrk: one request, or a chain of them, over and over on 16 connections that are kept open."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 16
_DONE = """
done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\\n{"requests": %d, "duration": %d, "failed": %d, "p99": %d}\\n',
    summary.requests, summary.duration, failed, latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Ask:
    """One HTTP request."""

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    script: Callable[[], str] | None = None  # Lua for wrk, made for each run, where one request is not like another


@dataclass(frozen=True)
class Outcome:
    """What one run gave.

    Args:
        rate: good answers a second; 0 if any request failed.
        requests: how many there were.
        p99: milliseconds.
        failed: answers with a status from 400 on, and connections that broke or timed out.
    """

    rate: float
    p99: float
    failed: int
    requests: int = 0


def run(wrk: str, url: str, ask: Ask, seconds: int, core: int | None, threads: int = 1) -> Outcome:
    """Ask for *seconds* and return what came of it.

    Args:
        core: the only core that wrk may use; None for all.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder) / "ask.lua"
        script.write_text((ask.script() if ask.script else _script(ask)) + _DONE)
        command = [wrk, f"-t{threads}", f"-c{CONNECTIONS * threads}", f"-d{seconds}", "-s", str(script), url + ask.path]
        pinned = command if core is None else ["taskset", "-c", str(core), *command]
        printed = subprocess.run(pinned, check=True, capture_output=True, text=True).stdout
    told = json.loads(printed.splitlines()[-1])
    rate = 0.0 if told["failed"] else told["requests"] * 1e6 / told["duration"]
    return Outcome(rate, told["p99"] / 1000, told["failed"], told["requests"])


def in_turn(asks: Sequence[Ask]) -> Ask:
    """Return a request that is each of *asks* in turn."""

    def script() -> str:
        made = ", ".join(
            f"wrk.format({json.dumps(ask.method)}, {json.dumps(ask.path)}, {{{_headers(ask)}}},"
            f" {json.dumps(ask.body) if ask.body else 'nil'})"
            for ask in asks
        )
        return (
            f"local asks, at = {{}}, 0\ninit = function() asks = {{{made}}} end\n"
            "request = function() at = at % #asks + 1; return asks[at] end\n"
        )

    return Ask(asks[0].path, script=script)


def _headers(ask: Ask) -> str:
    return ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in ask.headers.items())


def _script(ask: Ask) -> str:
    # A request that is fixed is made once: wrk then costs the same for a GET and a POST. JSON strings are Lua's too.
    lines = [f"wrk.method = {json.dumps(ask.method)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in ask.headers.items()]
    if ask.body:
        lines.append(f"wrk.body = {json.dumps(ask.body)}")
    return "\n".join(lines)
