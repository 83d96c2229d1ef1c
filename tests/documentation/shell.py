"""One bash that runs the blocks of a page one after the other, as a reader who pastes them does."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120  # seconds for a block
# A command that fails anywhere in the block counts, as with `set -e`, but the shell lives on.
HEAD = "trap 'failed=${failed:-$?}' ERR; set -o pipefail\n"


@dataclass(frozen=True)
class Done:
    """A block that has ended, or that goes on and has said what was awaited."""

    code: int
    out: str
    err: str

    @property
    def both(self) -> str:
        """What a terminal shows."""
        return f"{self.out}\n{self.err}"


class Shell:
    """Runs in *folder*; what its commands leave running ends with it."""

    def __init__(self, folder: Path, notes: Path, environ: Mapping[str, str]) -> None:
        self._notes, self._number = notes, 0
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._send(HEAD)

    def run(self, text: str) -> Done:
        """Run a block to its end."""
        script, out, err = self._files(text)
        self._send(f"failed=; source {script} >{out} 2>{err} </dev/null; echo ${{failed:-0}}\n")
        return Done(int(self._answer(text)), out.read_text(errors="replace"), err.read_text(errors="replace"))

    def start(self, text: str, awaited: str) -> Done:
        """Let a block go on in the background; return when it has printed *awaited*."""
        script, out, err = self._files(text)
        self._send(f"(source {script}) >{out} 2>{err} </dev/null &\n")
        deadline = time.monotonic() + PATIENCE
        while awaited not in (printed := Done(0, out.read_text(), err.read_text())).both:
            if time.monotonic() > deadline:
                raise AssertionError(f"{awaited!r} did not appear after:\n{text}\n{printed.both}")
            time.sleep(0.02)
        return printed

    def close(self) -> None:
        """End everything that was started."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, how)
            except ProcessLookupError:
                break
            time.sleep(0.1 if how == signal.SIGTERM else 0)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _files(self, text: str) -> tuple[Path, Path, Path]:
        self._number += 1
        script, out, err = (self._notes / f"{self._number:02}.{kind}" for kind in ("sh", "out", "err"))
        script.write_text(text if text.endswith("\n") else f"{text}\n")
        out.touch()
        err.touch()
        return script, out, err

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _answer(self, text: str) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            raise AssertionError(f"this takes more than {PATIENCE} s:\n{text}")
        return self._process.stdout.readline().strip()
