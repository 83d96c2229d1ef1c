"""Install the project itself into the environment it is run by, without any build tool: a path file and the command.

`pip install -e .` would fetch setuptools, which no lock file covers. With `--copy` the package itself is copied, and
what it was copied from may go.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """#!{python}
import sys

from auth_server.__main__ import main

sys.exit(main())
"""


def main() -> None:
    """Write the path file or the copy, and the command's script."""
    packages = Path(sysconfig.get_path("purelib"))
    if sys.argv[1:] == ["--copy"]:
        there = packages / "auth_server"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(ROOT / "auth_server", there, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        (packages / "auth_server.pth").write_text(f"{ROOT}\n")
    script = Path(sysconfig.get_path("scripts")) / "auth-server"
    script.write_text(SCRIPT.format(python=sys.executable))
    script.chmod(0o755)


main()
