"""Tests tools/setup/prepare.sh on a Debian made of stand-ins (fake-debian/) for apt, dpkg, id and cmake.

Usage: set_up_test.py SOURCE_ROOT SCRATCH_DIRECTORY
"""

import os
import shutil
import subprocess
import sys
import unittest

SOURCE_ROOT, SCRATCH = sys.argv[1:3]
FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake-debian")
# The only real programs that the commands see: no sudo, no apt, no compiler.
PROGRAMS = ("bash", "sed", "grep", "awk", "df", "tail", "mkdir", "env", "cat")


class SetUp(unittest.TestCase):
    def setUp(self):
        self.root = os.path.join(SCRATCH, self.id().split(".")[-1])
        shutil.rmtree(self.root, ignore_errors=True)
        self.system = os.path.join(self.root, "system")
        os.makedirs(self.system)
        for program in PROGRAMS:
            os.symlink(shutil.which(program), os.path.join(self.system, program))
        shutil.copytree(os.path.join(SOURCE_ROOT, "tools", "setup"), os.path.join(self.root, "tools", "setup"))
        self.log = os.path.join(self.root, "log")
        self.path = [FAKES, self.system]
        self.write_os_release('ID=debian\nVERSION_ID="12"\n')

    def write_os_release(self, text):
        with open(os.path.join(self.root, "os-release"), "w") as file:
            file.write(text)

    def prepare(self, missing="", absent="", uid="0", size="45.6 MB"):
        """Runs `prepare gqa-run`; returns exit status, output, and the commands that changed something."""
        result = subprocess.run(
            ["bash", "-c", "set -euo pipefail; . tools/setup/prepare.sh; prepare gqa-run"],
            cwd=self.root,
            env={"PATH": os.pathsep.join(self.path), "GQA_OS_RELEASE": os.path.join(self.root, "os-release"),
                 "FAKE_MISSING": missing, "FAKE_ABSENT": absent, "FAKE_UID": uid, "FAKE_SIZE": size,
                 "FAKE_LOG": self.log},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return result.returncode, result.stdout, self.commands()

    def commands(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log) as log:
            return log.read().splitlines()

    def assert_fails(self, outcome, *words):
        """The last line is an error with the words, and nothing was installed or built."""
        status, output, commands = outcome
        self.assertNotEqual(status, 0, output)
        last = output.splitlines()[-1]
        self.assertTrue(last.startswith("setup: error: "), output)
        for word in words:
            self.assertIn(word, last)
        self.assertFalse([c for c in commands if " install -y" in c or c.startswith("cmake")], commands)

    def test_everything_installed_needs_no_root_and_no_apt(self):
        status, output, commands = self.prepare(uid="1000")
        self.assertEqual(status, 0, output)
        self.assertEqual(commands, ["cmake --preset release", "cmake --build build/release --target gqa-run"])

    def test_missing_packages_are_announced_then_installed(self):
        status, output, commands = self.prepare(missing="lld-22 ninja-build")
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"will install(?s:.*)  lld-22 +the linker(?s:.*)  ninja-build(?s:.*)Disk space: 45.6 MB")
        self.assertNotIn("clang-22", output)
        installs = [c for c in commands if " install -y" in c]
        self.assertEqual(len(installs), 1, commands)
        self.assertTrue(installs[0].endswith("install -y --no-install-recommends lld-22 ninja-build"), installs)

    def test_without_root_and_sudo(self):
        self.assert_fails(self.prepare(missing="lld-22", uid="1000"), "not root and no sudo", "apt-get install lld-22")

    def test_package_that_no_source_has(self):
        self.assert_fails(self.prepare(missing="clang-22 lld-22", absent="lld-22"), "no package lld-22 in")

    def test_too_little_disk(self):
        self.assert_fails(self.prepare(missing="lld-22", size="987,654 GB"), "takes 987654001 MB in /usr, but only")

    def test_debian_11(self):
        self.write_os_release('ID=debian\nVERSION_ID="11"\n')
        self.assert_fails(self.prepare(), "needs Debian 12 or later, this is Debian 11")

    def test_not_debian(self):
        self.write_os_release('ID=fedora\nVERSION_ID="41"\n')
        self.path.remove(FAKES)
        self.assert_fails(self.prepare(), "needs Debian 12 or later, this is fedora 41", "packages.txt")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
