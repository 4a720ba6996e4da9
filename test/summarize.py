"""Prints one line that counts the tests of a lit run: `summarize.py RESULTS.json` (from `lit --output`)."""

import collections
import json
import sys

GOOD = ("PASS", "FLAKYPASS", "XFAIL")


def summarize(tests):
    """`tests` as in lit's JSON: dicts with a `code`. What is neither good nor unsupported here has failed.

    Unit tests that skip themselves are not in the JSON; lit's own summary counts them.
    """
    codes = collections.Counter(test["code"] for test in tests)
    passed = sum(codes[code] for code in GOOD)
    unsupported = codes["UNSUPPORTED"]
    return f"{passed} passed, {codes.total() - passed - unsupported} failed, {unsupported} unsupported"


if __name__ == "__main__":
    with open(sys.argv[1]) as results:
        print(summarize(json.load(results)["tests"]))
