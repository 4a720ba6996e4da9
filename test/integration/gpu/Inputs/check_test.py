"""The script test/integration/gpu/check with tools that only pretend: what it does when things go wrong.

Usage: check_test.py PATH-OF-CHECK
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

PATH = sys.argv.pop(1)
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("check", PATH)
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
loader.exec_module(check)

INFO = {"device": "Pretended", "compute_capability": 90, "copy_gb_per_second": 3000.0, "gemm_bf16_tflops": None}
GOOD = {"functions": 2, "calls": 8, "refused": [], "benches": [], "failure": None, "seconds": 1.5}
BENCH = {**GOOD, "benches": [{"name": "decode", "median_ms": 0.5, "tflops": 1.0, "gb_per_second": 3000.0}]}

# Answers by what is asked: info, or the stage, with the target's directory; each is printed by a shell script.
TOOL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
{cases}
esac
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.log = os.path.join(self.directory.name, "log")
        self.path = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", self.path)
        for name in ("bin", "lib", "sm_90a", "tools"):
            os.mkdir(os.path.join(self.directory.name, name))
        self.write("sm_90a/functions.json", "[]")
        # No other python3, nvidia-smi or sanitizer than these.
        os.environ["PATH"] = os.path.join(self.directory.name, "tools") + ":/usr/bin:/bin"
        self.write("tools/python3", "#!/bin/sh\necho 'No module named torch' >&2; exit 1", 0o755)
        self.write("tools/nvidia-smi", "#!/bin/sh\necho '1980 MHz, 2619 MHz, 40, 300.00 W, 0x0'", 0o755)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def pretend(self, **answers):
        """Writes a gqa-device-check: keys are info and stages, values are reports, or shell commands."""
        everything = {"info": INFO, "tiles": GOOD, "block": GOOD, "correctness": GOOD, "cached": GOOD, "bench": BENCH, **answers}
        cases = ""
        for key, answer in everything.items():
            command = answer if isinstance(answer, str) else f"echo '{json.dumps(answer)}'"
            if isinstance(answer, dict) and answer.get("failure"):
                command += "; exit 1"
            pattern = "info*" if key == "info" else f'*"--stage {key}"*'
            cases += f"{pattern}) {command} ;;\n"
        self.write("bin/gqa-device-check", TOOL.format(log=self.log, cases=cases), 0o755)

    def run_check(self, *arguments):
        """Exit code, report and what is printed."""
        report = os.path.join(self.directory.name, "report.json")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            code = check.main(["--run", self.directory.name, "--json", report, *arguments])
        with open(report) as file:
            return code, json.load(file), output.getvalue()

    def get_calls(self):
        with open(self.log) as file:
            return file.read()

    def test_everything_passes(self):
        self.pretend()
        code, report, output = self.run_check()
        self.assertEqual((code, report["status"]), (0, "passed"))
        self.assertEqual([stage["stage"] for stage in report["stages"]], ["tiles", "block", "correctness", "cached"])
        self.assertEqual(report["sanitizer"], "skipped: compute-sanitizer not found")
        self.assertEqual(report["peers"], {"skipped": "No module named torch"})
        self.assertEqual(report["clocks_after"], "1980 MHz, 2619 MHz, 40, 300.00 W, 0x0")
        self.assertEqual(report["benches"][0]["target"], "sm_90a")
        self.assertIn("PyTorch skipped: No module named torch", output)

    def test_no_device_has_an_exit_code_of_its_own(self):
        for reason in ("cuda: no device", "cuda: libcuda.so.1 not found", "cuda: no device 3; there is 1"):
            self.pretend(info=f"echo 'gqa-device-check: error: {reason}' >&2; exit 2")
            code, report, output = self.run_check()
            self.assertEqual((code, report["status"]), (3, "no device"))
            self.assertEqual(report["failure"]["message"], reason)
            self.assertIn(f"no device: {reason}", output)

    def test_a_machine_without_the_cpp_library_gets_ours(self):
        tool = """#!/bin/sh
case "$LD_LIBRARY_PATH" in *lib/fallback*) ;; *) echo "GLIBCXX_3.4.29 not found" >&2; exit 127 ;; esac
"""
        self.write("bin/gqa-device-check", tool, 0o755)
        machine = check.Machine(self.directory.name, "cuda:0", small=False)
        self.assertIn("lib/fallback", machine.environment()["LD_LIBRARY_PATH"])
        self.pretend()
        machine = check.Machine(self.directory.name, "cuda:0", small=False)
        self.assertNotIn("lib/fallback", machine.environment()["LD_LIBRARY_PATH"])

    def test_a_broken_driver_is_not_no_device(self):
        self.pretend(info="echo 'libstdc++.so.6: version GLIBC_2.99 not found' >&2; exit 127")
        code, report, _ = self.run_check()
        self.assertEqual((code, report["status"]), (1, "failed"))
        self.assertIn("GLIBC_2.99", report["failure"]["message"])

    def test_first_failure_ends_the_check(self):
        failure = {"function": "block_f16", "call": 2, "problem": "b=1 m=16", "error": "output error 0.5", "again": "again!"}
        self.pretend(block={**GOOD, "failure": failure})
        code, report, output = self.run_check()
        self.assertEqual(code, 1)
        self.assertEqual(report["failure"]["message"], "sm_90a, block: block_f16, call 2: output error 0.5")
        self.assertEqual(report["failure"]["again"], "again!")
        self.assertEqual([stage["stage"] for stage in report["stages"]], ["tiles"])
        self.assertNotIn("correctness", self.get_calls())
        self.assertIn("problem: b=1 m=16", output)

    def test_all_failures_are_listed_on_request(self):
        def fail(function):
            failure = {"function": function, "call": 0, "problem": "b=1", "error": "wrong", "again": "again!"}
            return json.dumps({**GOOD, "functions": 1, "calls": 1, "failure": failure})

        self.pretend(block=f"""case "$*" in
  *--after\\ block_b*) echo '{json.dumps(GOOD)}' ;;
  *--after\\ block_a*) echo 'block_b call 1' >&2; kill -SEGV $$ ;;
  *) echo '{fail("block_a")}'; exit 1 ;;
esac""")
        code, report, output = self.run_check("--keep-going")
        self.assertEqual((code, report["status"]), (1, "failed"))
        self.assertEqual([failure["message"] for failure in report["failures"]],
                         ["sm_90a, block: block_a, call 0: wrong",
                          "sm_90a, block: exit code -11 without a report; last began: block_b call 1"])
        self.assertEqual([stage["stage"] for stage in report["stages"]], ["tiles", "block", "correctness", "cached"])
        self.assertIn("block        3 functions, 9 calls: 2 failed", output)
        self.assertEqual(len(report["benches"]), 1)

    def test_a_crash_names_what_ran(self):
        self.pretend(correctness="echo 'correctness_f16 call 3' >&2; kill -SEGV $$")
        code, report, _ = self.run_check()
        self.assertEqual(code, 1)
        self.assertEqual(report["failure"]["message"],
                         "sm_90a, correctness: exit code -11 without a report; last began: correctness_f16 call 3")

    def test_a_kernel_that_does_not_end_is_named(self):
        self.pretend(tiles="echo 'tiles_bf16 call 1' >&2; exec sleep 60")
        machine = check.Machine(self.directory.name, "cuda:0", small=False)
        with self.assertRaises(check.Failure) as caught:
            machine.run_stage("sm_90a", "tiles", timeout=0.5)
        self.assertEqual(str(caught.exception), "sm_90a, tiles: did not end within 0.5 s; last began: tiles_bf16 call 1")

    def test_sanitizer_errors_fail(self):
        self.pretend()
        self.write("tools/compute-sanitizer", '#!/bin/sh\nshift 4; "$@"; echo "Invalid __global__ read"; exit 9', 0o755)
        code, report, _ = self.run_check()
        self.assertEqual(code, 1)
        self.assertEqual(report["failure"]["message"], "sm_90a, block: memcheck found errors")
        self.assertIn("Invalid __global__ read", report["failure"]["output"])

    def test_sanitizer_passes_or_is_skipped_visibly(self):
        self.pretend()
        self.write("tools/compute-sanitizer", '#!/bin/sh\nshift 4; exec "$@"', 0o755)
        _, report, output = self.run_check()
        self.assertEqual([(entry["tool"], entry["stage"]) for entry in report["sanitizer"]],
                         [(tool, stage) for tool in ("memcheck", "racecheck") for stage in ("block", "correctness", "cached")])
        self.assertIn("racecheck    block, 8 calls: nothing found", output)
        failed = {**GOOD, "failure": {"function": "f", "call": 0, "problem": "", "error": "error 999", "again": ""}}
        for answer in (GOOD, failed):
            self.write("tools/compute-sanitizer", f"""#!/bin/sh
echo "Error: Device not supported on this machine"; echo '{json.dumps(answer)}'; exit 1""", 0o755)
            code, report, output = self.run_check()
            self.assertEqual(code, 0)
            self.assertIn("Device not supported", report["sanitizer"][0]["skipped"])
            self.assertIn("memcheck     block, skipped: Error: Device not supported", output)

    def test_a_slow_sanitizer_does_not_keep_the_benches_away(self):
        self.pretend()
        self.write("tools/compute-sanitizer",
                   '#!/bin/sh\ncase "$*" in *racecheck*) exec sleep 60 ;; esac\nshift 4; exec "$@"', 0o755)
        seconds, check.SANITIZER_SECONDS = check.SANITIZER_SECONDS, 0.5
        self.addCleanup(setattr, check, "SANITIZER_SECONDS", seconds)
        code, report, output = self.run_check()
        self.assertEqual(code, 0)
        self.assertEqual(report["sanitizer"][3]["skipped"],
                         "sm_90a, block: did not end within 0.5 s; last began: nothing")
        self.assertIn("racecheck    cached, skipped: sm_90a, cached: did not end", output)
        self.assertEqual(len(report["benches"]), 1)

    def test_stages_and_targets_can_be_chosen(self):
        os.mkdir(os.path.join(self.directory.name, "sm_80"))
        self.write("sm_80/functions.json", "[]")
        self.pretend()
        code, report, _ = self.run_check("--stage", "bench", "--stage", "tiles", "--target", "sm_80")
        self.assertEqual(code, 0)
        self.assertEqual([(stage["target"], stage["stage"]) for stage in report["stages"]], [("sm_80", "tiles")])
        self.assertEqual([bench["target"] for bench in report["benches"]], ["sm_80"])
        self.assertIsNone(report["sanitizer"])
        self.assertNotIn("correctness", self.get_calls())

    def test_schedules_are_compared_on_request(self):
        tuned = {"name": "decode_stages2", "median_ms": 0.25, "tflops": 1.0, "gb_per_second": 6000.0}
        self.pretend(tune={**BENCH, "benches": [tuned]})
        self.assertEqual(self.run_check()[0], 0)
        self.assertNotIn("tune", self.get_calls())
        code, report, output = self.run_check("--stage", "bench", "--stage", "tune")
        self.assertEqual(code, 0)
        self.assertEqual(report["tuned"], [tuned])
        self.assertRegex(output, r"\ndecode +0\.5000 +1\.0 +3000\ndecode_stages2 +0\.2500 +1\.0 +6000\n")

    def test_a_killed_run_leaves_a_report(self):
        self.pretend(cached="kill -KILL $PPID; exit 1")
        report = os.path.join(self.directory.name, "report.json")
        done = subprocess.run([sys.executable, PATH, "--run", self.directory.name, "--json", report],
                              stdout=subprocess.DEVNULL)
        self.assertEqual(done.returncode, -9)
        with open(report) as file:
            left = json.load(file)
        self.assertEqual(left["status"], "unfinished")
        self.assertEqual([stage["stage"] for stage in left["stages"]], ["tiles", "block", "correctness"])

    def test_refused_functions_are_counted(self):
        self.pretend(block={**GOOD, "refused": [{"name": "block_x", "reason": "dims of 4096"}]})
        _, report, output = self.run_check()
        self.assertEqual(report["stages"][1]["refused"][0]["reason"], "dims of 4096")
        self.assertIn("1 refused by the compiler", output)

    def test_running_nothing_is_not_passing(self):
        self.pretend(block={**GOOD, "functions": 0, "calls": 0, "refused": [{"name": "block_x", "reason": "no"}]})
        code, report, _ = self.run_check()
        self.assertEqual(code, 1)
        self.assertEqual(report["failure"]["message"],
                         "sm_90a, block: nothing to run; refused by the compiler: 1")

    def test_targets_that_the_compiler_refuses_are_left_out(self):
        place = os.path.join(self.directory.name, "sm_90a")
        self.write("sm_90a/functions.json", '[{"name": "a", "refused": null}, {"name": "b", "refused": "no"}]')
        check.drop_refused(place)
        self.assertTrue(os.path.exists(place))
        self.write("sm_90a/functions.json", '[{"name": "a", "refused": "unknown GPU"}]')
        with contextlib.redirect_stdout(io.StringIO()) as output:
            check.drop_refused(place)
        self.assertFalse(os.path.exists(place))
        self.assertEqual(output.getvalue(), "sm_90a: left out, the compiler says: unknown GPU\n")

    def test_artifacts_are_packed_and_unpacked(self):
        place = os.path.join(self.directory.name, "sm_90a")
        self.write("sm_90a/a.so", "code " * 1000)
        check.pack(place)
        self.assertFalse(os.path.exists(os.path.join(place, "a.so")))
        self.assertLess(check.measure_mib(place), 0.001)
        self.pretend()
        for _ in range(2):  # the second time, it is there already
            self.assertEqual(self.run_check()[0], 0)
            with open(os.path.join(place, "a.so")) as file:
                self.assertEqual(file.read(), "code " * 1000)
        self.write("sm_90a/artifacts.zip", "no archive")
        code, report, _ = self.run_check()
        self.assertEqual(code, 1)
        self.assertIn("artifacts.zip cannot be unpacked", report["failure"]["message"])

    def test_benches_have_limits_beside_them(self):
        cached = {"name": "decode_cache_i8", "cache": "i8", "median_ms": 0.25, "tflops": 1.0, "gb_per_second": 1500.0}
        self.pretend(bench={**BENCH, "benches": [*BENCH["benches"], cached]})
        self.write("tools/python3", """#!/bin/sh
grep -q decode_cache && exit 1
echo '{"torch": "2", "limits": {"copy_gb_per_second": 3100}, "problems": [{"name": "decode", "median_ms": {"flash": 0.6}}]}'
""", 0o755)
        code, report, output = self.run_check()
        self.assertEqual(code, 0)
        self.assertRegex(output, r"decode +0\.5000 +1\.0 +3000 +100 %   flash 0\.600")
        self.assertRegex(output, r"decode_cache_i8 +0\.2500 +1\.0 +1500 +50 %")
        self.assertIn("limits: {'copy_gb_per_second': 3000.0", output)
        self.assertEqual(report["peers"]["torch"], "2")

    def test_targets_follow_the_device(self):
        os.mkdir(os.path.join(self.directory.name, "sm_80"))
        self.write("sm_80/functions.json", "[]")
        choose = lambda capability: check.choose_targets(self.directory.name, {**INFO, "compute_capability": capability})
        self.assertEqual(choose(90), ["sm_90a", "sm_80"])
        self.assertEqual(choose(86), ["sm_80"])
        self.assertEqual(choose(100), ["sm_80"])
        with self.assertRaises(check.Failure):
            choose(75)

    def test_libraries_of_the_system_are_not_shipped(self):
        text = ("\tlinux-vdso.so.1 (0x00007ffc)\n\tlibgqa.so.0 => /b/lib/libgqa.so.0 (0x00007f)\n"
                "\tlibstdc++.so.6 => /usr/lib/libstdc++.so.6 (0x00007f)\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n"
                "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n")
        self.assertEqual(check.parse_ldd(text), [("libgqa.so.0", "/b/lib/libgqa.so.0"),
                                                 ("libstdc++.so.6", "/usr/lib/libstdc++.so.6")])
        with self.assertRaises(check.Failure):
            check.parse_ldd("\tlibomp.so.5 => not found\n")


unittest.main()
