"""Somebody who reads a page and does what it says, in a folder of their own, beside a server of their own."""

import os
from pathlib import Path

from tests.documentation.expected import Memory
from tests.documentation.shell import Done, Shell
from tests.servers.auth_server import ROOT, free_port
from tools.docs.blocks import Block, blocks

PORTS = ("2342", "5000", "8080", "8443", "9090")
"""Ports that pages name; each test has others."""
RUN = ("sh", "python")
LINKED = ("Makefile", "auth_server", "config", "deploy", "examples", "pyproject.toml", "requirements", "tools")
"""What of the source a reader sees in their checkout."""
ADMIN_PASSWORD = "Correct-horse-7-battery"


class Reader:
    """Reads pages; `follow` does it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.checkout, notes = folder / "checkout", folder / "notes"
        self.checkout.mkdir(parents=True)
        notes.mkdir()
        (folder / "home").mkdir()
        for name in LINKED:
            (self.checkout / name).symlink_to(ROOT / name)
        (self.checkout / ".venv").mkdir()
        for part in ("bin", "lib", "pyvenv.cfg"):
            (self.checkout / ".venv" / part).symlink_to(ROOT / ".venv" / part)
        for stamp in ("runtime", "web-app"):  # so that `make` installs nothing while tests run
            (self.checkout / f".venv/{stamp}.stamp").touch()
        ports = {port: str(free_port()) for port in PORTS}
        self.memory = Memory({f":{shown}": f":{now}" for shown, now in ports.items()})
        self.memory.learn("PORT=5000", f"PORT={ports['5000']}")
        ours = {
            "HOME": str(folder / "data"),
            "KEYS_DIR": str(folder / "data/keys"),
            "PORT": ports["2342"],
            "WORKERS": "1",
            "LOG_FORMAT": "json",
            **settings,
        }
        environ = {
            "PATH": f"{self.checkout}/.venv/bin:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            **{f"AUTH_SERVER_{name}": value for name, value in ours.items()},
        }
        self.shell = Shell(self.checkout, notes, environ)

    def follow(self, page: str) -> None:
        """Run every block of a page.

        Raises:
            AssertionError: a command failed, or printed something else than the page shows.
        """
        parts = list(blocks(page))
        starts_its_own = any(block.comments.get("page") == "no server" for block in parts)
        if not starts_its_own and any(map(_is_run, parts)):
            self.shell.start(f"AUTH_SERVER_ADMIN_PASSWORD={ADMIN_PASSWORD} auth-server serve", "Ready: ")
        last = Done(0, "", "")
        for block in parts:
            try:
                last = self._do(block, last)
            except AssertionError as error:
                raise AssertionError(f"line {block.line}: {error}") from None

    def close(self) -> None:
        """End what was started."""
        self.shell.close()

    def _do(self, block: Block, last: Done) -> Done:
        given = block.comments
        if "page" in given or "not run" in given or ("shown" in given and block.language not in RUN):
            return last
        if "run" in given:
            return self._run(given["run"], 0)
        if "let" in given:
            shown, _, command = given["let"].partition(" = ")
            self.memory.learn(shown.strip(), self._run(command, 0).out.strip())
            return last
        if "file" in given:
            (self.checkout / given["file"]).write_text(self.memory.put_in(block.text))
            return last
        if block.prints:
            self.memory.compare(
                block.text, last.out if block.language == "json" else last.both, as_json=block.language == "json"
            )
            return last
        if block.language == "python":
            (self.checkout / ".block.py").write_text(self.memory.put_in(block.text))
            return self._run("python .block.py", int(given.get("exit", 0)))
        if block.language != "sh":
            raise AssertionError(f"nothing says what to do with this block of {block.language or 'no language'}")
        if "background" in given:
            return self.shell.start(self.memory.put_in(block.text), given["background"])
        return self._run(block.text, int(given.get("exit", 0)))

    def _run(self, text: str, code: int) -> Done:
        done = self.shell.run(self.memory.put_in(text))
        assert done.code == code, f"exit code {done.code} of:\n{text}\n{done.both}"
        return done


def _is_run(block: Block) -> bool:
    return bool({"run", "let"} & {*block.comments}) or block.language in RUN
