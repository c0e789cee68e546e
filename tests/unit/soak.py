#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the random unit tests of a build again and again, each time with another seed.

    tests/unit/soak.py BUILD-FOLDER [--runs N] [--first SEED] [PROGRAM...]

PROGRAM is a unit test's name ("mapcache"); without one, all that have a seed. What failed is printed
with its seed: DUODM_TEST_SEED=SEED repeats it.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDED = re.compile(r"test_seed(?:ed_rand)?\(\)|fixture_random_access\(")


def programs(build):
    names = []
    for name in sorted(os.listdir(HERE)):
        path = os.path.join(build, "tests", "unit", name[:-2])
        if name.endswith(".c") and os.path.exists(path):
            with open(os.path.join(HERE, name), encoding="utf-8") as file:
                if SEEDED.search(file.read()):
                    names.append(name[:-2])
    return names


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().split("\n\n", 1)[1])
    parser.add_argument("build")
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    options = parser.parse_intermixed_args()
    bad = 0
    for name in options.programs or programs(options.build):
        failed = []
        for seed in range(options.first, options.first + options.runs):
            result = subprocess.run(
                [os.path.join(options.build, "tests", "unit", name)], capture_output=True,
                text=True, errors="replace", check=False, timeout=600,
                env={**os.environ, "DUODM_TEST_SEED": str(seed), "srcdir": os.path.join(HERE, "../..")})
            if result.returncode:
                failed.append(seed)
                print(f"FAILED  {name}: DUODM_TEST_SEED={seed}, status {result.returncode}\n"
                      f"{result.stdout[-1500:]}{result.stderr[-1500:]}", flush=True)
        bad += bool(failed)
        print(f"{name}: {options.runs - len(failed)} of {options.runs} passed", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
