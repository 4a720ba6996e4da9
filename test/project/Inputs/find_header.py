"""find_header.py NAME DIRECTORY: copies a header of the system there."""

import pathlib
import shutil
import sys

name, directory = sys.argv[1:]
found = [root / name for root in map(pathlib.Path, ("/usr/local/include", "/usr/include")) if (root / name).exists()]
shutil.copy(found[0], directory)
