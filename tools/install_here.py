"""Install the project itself into its .venv without any build tool: a path file and the command's script.

`pip install -e .` would fetch setuptools, which no lock file covers.
"""

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
    """Write the two files."""
    (Path(sysconfig.get_path("purelib")) / "auth_server.pth").write_text(f"{ROOT}\n")
    script = Path(sysconfig.get_path("scripts")) / "auth-server"
    script.write_text(SCRIPT.format(python=sys.executable))
    script.chmod(0o755)


main()
