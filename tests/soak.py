#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the random unit and device tests of a build again and again, each time with another seed.

    tests/soak.py BUILD-FOLDER [--runs N] [--first SEED] [TEST...]

TEST is "unit/mapcache" or "device/e1000"; without one, all that have a seed. What failed is printed with
its seed: DUODM_TEST_SEED=SEED repeats it.
"""
import argparse
import ast
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDED = {"unit": re.compile(r"test_seed(?:ed_rand)?\(\)|fixture_random_access\(|run_random_sequences\("),
          "device": re.compile(r"seeded\(self\)")}
ENDING = {"unit": ".c", "device": ".py"}


def text_of(test):
    with open(os.path.join(HERE, test + ENDING[test.split("/")[0]]), encoding="utf-8") as file:
        return file.read()


def tests():
    for folder, ending in ENDING.items():
        for name in sorted(os.listdir(os.path.join(HERE, folder))):
            test = f"{folder}/{name.removesuffix(ending)}"
            if name.endswith(ending) and SEEDED[folder].search(text_of(test)):
                yield test


def command(build, test):
    """A unit test as it is; of a device test, the classes that have random tests."""
    if test.startswith("unit/"):
        return [os.path.join(build, "tests", test)]
    source = text_of(test)
    classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)
               and SEEDED["device"].search(ast.get_source_segment(source, node))]
    return [sys.executable, os.path.join(HERE, "run.py"), *(f"{test}.{name}" for name in classes)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.strip().split("\n\n", 1)[1])
    parser.add_argument("build")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    options = parser.parse_intermixed_args()
    bad = 0
    for test in options.tests or tests():
        failed = []
        for seed in range(options.first, options.first + options.runs):
            result = subprocess.run(
                command(options.build, test), capture_output=True, text=True, errors="replace",
                check=False, timeout=600,
                env={"DUODM": os.path.join(options.build, "duodm"), **os.environ,
                     "DUODM_TEST_SEED": str(seed), "srcdir": os.path.join(HERE, "..")})
            if result.returncode:
                failed.append(seed)
                print(f"FAILED  {test}: DUODM_TEST_SEED={seed}, status {result.returncode}\n"
                      f"{result.stdout[-1500:]}{result.stderr[-1500:]}", flush=True)
        bad += bool(failed)
        print(f"{test}: {options.runs - len(failed)} of {options.runs} passed", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
