"""clean_root.py LIBRARIES FILES ROOT: makes a root directory of the files in FILES and the shared libraries that they
need, transitively, by ldd, and runs decode and gqa-run in it. The same by hand, in a full Debian without LLVM:

    debootstrap --variant=minbase --include=libomp5-19,libxxhash0,libstdc++6 bookworm root
    cp decode attention.so libgqa.so.0 root/
    chroot root env LD_LIBRARY_PATH=/ /decode /attention.so
"""

import os
import pathlib
import shutil
import subprocess
import sys

libraries, files, root = map(pathlib.Path, sys.argv[1:])
environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}


def needed_by(path):
    """The files that the dynamic linker loads for `path`, by the names that it looks for."""
    output = subprocess.run(["ldd", path], env=environment, capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        words = line.split()
        if "=>" in words:
            assert words[2].startswith("/"), f"{path} needs {words[0]}, which is not there"
            yield words[0], words[2]
        elif words[0].startswith("/"):
            yield words[0], words[0]  # the dynamic linker itself


(root / "lib").mkdir(parents=True)
loaded = {}
for file in sorted(files.iterdir()):
    shutil.copy(file, root)
    loaded.update(needed_by(file))
for name, path in loaded.items():
    target = root / name.lstrip("/") if name.startswith("/") else root / "lib" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
print("libraries:", *sorted(loaded))

change = ["chroot", root] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "chroot", root]
for command in (["/decode", "/attention.so"], ["/gqa-run", "/attention.so", "--list"]):
    result = subprocess.run([*change, *command], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": "/lib"}, capture_output=True, text=True)
    if result.returncode in (1, 125) and ("unshare" in result.stderr or "chroot: cannot change" in result.stderr):
        print("may not change the root directory here:", result.stderr.strip())
        continue
    assert result.returncode == 0, (command, result)
    print(f"{command[0][1:]}: {result.stdout.strip().splitlines()[-1]}")
