#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run every fuzz target of a build made with --enable-fuzzer, from its corpus, for some seconds.

    tests/fuzz/run.py BUILD-FOLDER [--seconds N] [--jobs N] [--seed N] [TARGET...]

N targets run at a time (1). The seed is the same in each run unless one is named (0: a new one). New inputs go to a folder that is thrown away; one that fails is kept in BUILD-FOLDER.
"""
import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def fuzz(build, target, seconds, seed):
    """Run one target; (how many inputs it ran, or None if it failed, what it said)."""
    fresh = tempfile.mkdtemp(prefix="duodm-fuzz-")
    corpus = os.path.join(HERE, "corpus", target)
    result = subprocess.run(
        [os.path.join(build, "tests", "fuzz", target), fresh,
         *([corpus] if os.path.isdir(corpus) else []), f"-max_total_time={seconds}", f"-seed={seed}",
         "-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1",
         f"-artifact_prefix={os.path.join(build, target)}-"],
        capture_output=True, text=True, errors="replace", check=False)
    shutil.rmtree(fresh, ignore_errors=True)
    runs = [line.split(":")[-1].strip() for line in result.stderr.splitlines()
            if line.startswith("stat::number_of_executed_units")]
    said = f"{result.stderr}status {result.returncode}\n"
    return runs[0] if result.returncode == 0 and runs else None, said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=20261126)
    options = parser.parse_intermixed_args()
    targets = options.targets or sorted(
        name[:-2] for name in os.listdir(HERE) if name.endswith(".c"))
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(
            lambda target: fuzz(options.build, target, options.seconds, options.seed), targets)
        for target, (runs, said) in zip(targets, results):
            if runs:
                passed += 1
                print(f"ok      {target}: {runs} inputs", flush=True)
            else:
                failed += 1
                print(f"FAILED  {target}\n{said[-6000:]}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
