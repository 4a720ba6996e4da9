"""Runs the shell commands of a page, so that the page and its test are one.

Usage: run_block.py PAGE NAME DIRECTORY PYTHON

Runs the code block that follows the comment `<!-- test: NAME -->` in DIRECTORY, with PYTHON as `python3` and the tools
beside it in PATH; paths of the repository are found from there. The first command that fails ends it.
"""

import os
import pathlib
import re
import subprocess
import sys


def find_block(page, name):
    match = re.search(rf"<!-- test: {re.escape(name)} -->\n```sh\n(.*?)```\n", page.read_text(), re.DOTALL)
    if not match:
        sys.exit(f"{page}: no block is called '{name}'")
    return match.group(1)


def main():
    page, name, directory, python = pathlib.Path(sys.argv[1]).resolve(), *sys.argv[2:]
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    docs = directory / "docs"
    if not docs.exists():
        docs.symlink_to(page.parent)
    # A virtual environment knows itself by the path of its interpreter, which must not be resolved.
    tools = os.path.dirname(os.path.abspath(python))
    environment = dict(os.environ, PATH=os.pathsep.join([tools, os.environ["PATH"]]))
    sys.exit(subprocess.run(["bash", "-ex", "-c", find_block(page, name)], cwd=directory, env=environment).returncode)


if __name__ == "__main__":
    main()
