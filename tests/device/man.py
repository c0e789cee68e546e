# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page lists the options that there are, with the arguments that they take."""

import os
import re
import shutil
import subprocess
import unittest

from duodm import run

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man", "duodm.1")


def options_of_help():
    found = {}
    for line in run("-help").stdout.splitlines():
        match = re.fullmatch(r"  -(\S+?)(?:, -(\S+))?(?: (\S.*))?", line)
        if match:
            found[match[1]] = (match[2], match[3])
    return found


def options_of_page():
    found = {}
    with open(PAGE, encoding="utf-8") as file:
        for line in file:
            match = re.fullmatch(r"\.It Fl (\S+)(?: , Fl (\S+))?(?: Ar (\S+))?\n", line)
            if match:
                found[match[1].replace("\\&", "")] = (match[2], match[3])
    return found


class Page(unittest.TestCase):
    maxDiff = None

    def test_options(self):
        page, text = options_of_page(), options_of_help()
        self.assertGreater(len(text), 30)
        self.assertEqual(page, text)
        self.assertEqual(list(page), list(text), "the same order")

    def test_lint(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        result = subprocess.run(["mandoc", "-Tlint", PAGE], capture_output=True, check=False)
        self.assertEqual(result.stdout + result.stderr, b"")
        self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
