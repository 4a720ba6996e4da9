"""Rewrites the IR in docs/pipeline.md; `--check` only says whether it is current.

Usage: update_pipeline.py PAGE GQA_OPT [--check]

Before a code block, the page says in a comment where its text comes from:

    <!-- input: FILE -->            the file, without its comment lines
    <!-- stage: FILE OPTIONS -->    what `gqa-opt FILE OPTIONS` prints
    <!-- stage: FILE OPTIONS | from /REGEX/ to /REGEX/ -->     of that, the lines from one match to the next, inclusive

FILE is relative to the repository's root. The prose between the blocks is written by hand and left alone.
"""

import difflib
import os
import re
import shlex
import subprocess
import sys

BLOCK = re.compile(r"(<!-- (input|stage): (.*?) -->\n```mlir\n)(.*?)(```\n)", re.DOTALL)
EXCERPT = re.compile(r"(.*?) \| from /(.*)/ to /(.*)/$")


class PageError(Exception):
    pass


def without_comments(text):
    """MLIR text without `//` lines and the empty lines they leave at either end."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    return "\n".join(lines).strip("\n") + "\n"


def excerpt(text, first, last):
    """The lines of `text` from the first that matches `first` to the next that matches `last`, unindented, inclusive."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if re.search(first, line)]
    if not starts:
        raise PageError(f"no line matches /{first}/")
    ends = [i for i in range(starts[0], len(lines)) if re.search(last, lines[i])]
    if not ends:
        raise PageError(f"no line after /{first}/ matches /{last}/")
    picked = lines[starts[0] : ends[0] + 1]
    indent = min(len(line) - len(line.lstrip()) for line in picked if line.strip())
    return "\n".join(line[indent:] for line in picked) + "\n"


def block_text(kind, source, gqa_opt, root):
    """The text that belongs into the block whose comment is `kind: source`."""
    if kind == "input":
        with open(os.path.join(root, source)) as file:
            return without_comments(file.read())
    match = EXCERPT.match(source)
    command, bounds = (match.group(1), match.groups()[1:]) if match else (source, None)
    result = subprocess.run([gqa_opt, *shlex.split(command)], cwd=root, capture_output=True, text=True)
    if result.returncode != 0:
        raise PageError(f"gqa-opt {command}: {result.stderr.strip()}")
    return excerpt(result.stdout, *bounds) if bounds else result.stdout.strip("\n") + "\n"


def updated(page, gqa_opt, root):
    """`page` with the text of every block made anew."""
    return BLOCK.sub(lambda m: m.group(1) + block_text(m.group(2), m.group(3), gqa_opt, root) + m.group(5), page)


def main():
    page_path, gqa_opt = sys.argv[1:3]
    root = os.path.dirname(os.path.dirname(os.path.abspath(page_path)))
    with open(page_path) as file:
        page = file.read()
    try:
        new = updated(page, os.path.abspath(gqa_opt), root)
    except PageError as error:
        sys.exit(f"{page_path}: {error}")
    if "--check" in sys.argv[3:]:
        sys.stdout.writelines(difflib.unified_diff(page.splitlines(True), new.splitlines(True), "committed", "current"))
        sys.exit(0 if new == page else f"{page_path} is not current: build the target gqa-docs and commit the result")
    with open(page_path, "w") as file:
        file.write(new)


if __name__ == "__main__":
    main()
