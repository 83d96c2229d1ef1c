"""Build the site: `python -m tools.docs FOLDER`."""

import sys
from pathlib import Path

from tools.docs.build import build

sys.exit(build(Path(sys.argv[1])))
