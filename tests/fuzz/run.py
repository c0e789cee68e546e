#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run every fuzz target of a build made with --enable-fuzzer, from its corpus, for some seconds.

    tests/fuzz/run.py BUILD-FOLDER [--seconds N] [TARGET...]

New inputs go to a folder that is thrown away; one that fails is kept in BUILD-FOLDER.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    targets = options.targets or sorted(
        name[:-2] for name in os.listdir(HERE) if name.endswith(".c"))
    passed = failed = 0
    for target in targets:
        program = os.path.join(options.build, "tests", "fuzz", target)
        fresh = tempfile.mkdtemp(prefix="duodm-fuzz-")
        corpus = os.path.join(HERE, "corpus", target)
        result = subprocess.run(
            [program, fresh, *([corpus] if os.path.isdir(corpus) else []),
             f"-max_total_time={options.seconds}", "-rss_limit_mb=2048", "-timeout=20",
             "-print_final_stats=1", f"-artifact_prefix={os.path.join(options.build, target)}-"],
            capture_output=True, text=True, errors="replace")
        shutil.rmtree(fresh, ignore_errors=True)
        runs = [line.split(":")[1].strip() for line in result.stderr.splitlines()
                if line.startswith("stat::number_of_executed_units")]
        if result.returncode == 0 and runs:
            passed += 1
            print(f"ok      {target}: {runs[0]} inputs", flush=True)
        else:
            failed += 1
            print(f"FAILED  {target}\n{result.stderr[-6000:]}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
