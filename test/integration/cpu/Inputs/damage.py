"""Damages an artifact and a .npy file at many places. Usage: damage.py PREFIX GQA_RUN ARTIFACT

An artifact with any bit changed must be refused. A .npy file may be readable still, if only a number in it changed; else
it must be refused. Refusing is exit code 1 and one line.
"""

import random
import subprocess
import sys

import numpy

prefix, gqa_run, artifact = sys.argv[1:]
generator = random.Random(1)


def run(arguments):
    result = subprocess.run([gqa_run, *arguments], capture_output=True)
    errors = result.stderr.decode(errors="replace")
    if result.returncode not in (0, 1) or (result.returncode == 1 and errors.count("\n") != 1):
        sys.exit(f"exit code {result.returncode}: {errors}")
    return result.returncode == 0


def damage(data):
    """(what was done, the bytes) for cuts and flipped bits at places spread over the data, its ends above all."""
    places = {0, 1, len(data) - 1, len(data) - 33} | {generator.randrange(len(data)) for _ in range(30)}
    places |= {generator.randrange(128) for _ in range(30)}
    for place in sorted(places):
        yield f"cut to {place} bytes", data[:place]
        flipped = bytearray(data)
        flipped[place] ^= 1 << generator.randrange(8)
        yield f"bit flipped in byte {place}", bytes(flipped)


damaged = prefix + ".damaged"
for what, data in damage(open(artifact, "rb").read()):
    open(damaged, "wb").write(data)
    if run([damaged, "--list"]):
        sys.exit(f"an artifact with {what} was accepted")

numpy.save(prefix + ".whole.npy", numpy.ones((1, 2, 7, 16), "f4"))
for what, data in damage(open(prefix + ".whole.npy", "rb").read()):
    open(damaged, "wb").write(data)
    works = run([artifact, "--input", "1x2x3x5x16xf32", "--input", "@" + damaged, "--input", "1x2x7x8xf32"])
    if works and what.startswith("cut"):
        sys.exit(f"a .npy file that is {what} was accepted")
