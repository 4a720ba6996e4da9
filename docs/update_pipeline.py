"""Rewrites the IR in docs/pipeline.md; `--check` only says whether it is current.

Usage: update_pipeline.py PAGE GQA_OPT [--check]

Before a code block, the page says in a comment where its text comes from:

    <!-- input: FILE -->                                      the file, without its comment lines
    <!-- stage: FILE OPTIONS -->                              what `gqa-opt FILE OPTIONS` prints
    <!-- stage: FILE OPTIONS | from /REGEX/ to /REGEX/ -->    of that, the lines from one match to the next, inclusive
    <!-- stage: FILE OPTIONS | around /REGEX/ up N -->        of that, the N-th operation with a region around a match

FILE is relative to the repository's root. Excerpts have affine maps written out, since the aliases are defined
elsewhere. The prose between the blocks is written by hand and left alone.
"""

import difflib
import os
import re
import shlex
import subprocess
import sys

BLOCK = re.compile(r"(<!-- (input|stage): (.*?) -->\n```mlir\n)(.*?)(```\n)", re.DOTALL)
FROM_TO = re.compile(r"from /(.*)/ to /(.*)/$")
AROUND = re.compile(r"around /(.*)/ up (\d+)$")


class PageError(Exception):
    pass


def without_comments(text):
    """MLIR text without `//` lines and the empty lines they leave at either end."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    return "\n".join(lines).strip("\n") + "\n"


def first_match(lines, regex, start=0):
    for i in range(start, len(lines)):
        if re.search(regex, lines[i]):
            return i
    raise PageError(f"no line matches /{regex}/")


def indentation(line):
    return len(line) - len(line.lstrip())


def enclosing(lines, index, levels):
    """The first and last line of the operation that is `levels` regions around line `index`."""
    begin = index
    for _ in range(levels):
        depth = indentation(lines[begin])
        # `^bb0` labels stand left of the body that they begin, and operands of a long op right of it.
        begin = next(i for i in range(begin - 1, -1, -1) if indentation(lines[i]) < depth and lines[i].endswith("{"))
    depth = indentation(lines[begin])
    end = next(i for i in range(begin + 1, len(lines)) if indentation(lines[i]) == depth and lines[i].lstrip()[0] == "}")
    return begin, end


def with_maps_inlined(text):
    """`text` without its `#map` aliases: every use is replaced by the affine map."""
    maps = dict(re.findall(r"^(#map\d*) = (affine_map<.*>)$", text, re.MULTILINE))
    return re.sub(r"#map\d*\b", lambda use: maps[use.group()], re.sub(r"^#map\d* = .*\n", "", text, flags=re.MULTILINE))


def excerpt(text, bounds):
    """The lines of `text` that `bounds` names (`from ... to ...` or `around ... up ...`), unindented."""
    lines = with_maps_inlined(text).splitlines()
    if match := FROM_TO.match(bounds):
        begin = first_match(lines, match.group(1))
        end = first_match(lines, match.group(2), begin)
    elif match := AROUND.match(bounds):
        begin, end = enclosing(lines, first_match(lines, match.group(1)), int(match.group(2)))
    else:
        raise PageError(f"expected 'from /R/ to /R/' or 'around /R/ up N', got '{bounds}'")
    picked = lines[begin : end + 1]
    indent = min(indentation(line) for line in picked if line.strip())
    return "\n".join(line[indent:] for line in picked) + "\n"


def block_text(kind, source, gqa_opt, root):
    """The text that belongs into the block whose comment is `kind: source`."""
    if kind == "input":
        with open(os.path.join(root, source)) as file:
            return without_comments(file.read())
    command, _, bounds = source.partition(" | ")
    result = subprocess.run([gqa_opt, *shlex.split(command)], cwd=root, capture_output=True, text=True)
    if result.returncode != 0:
        raise PageError(f"gqa-opt {command}: {result.stderr.strip()}")
    return excerpt(result.stdout, bounds) if bounds else result.stdout.strip("\n") + "\n"


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
