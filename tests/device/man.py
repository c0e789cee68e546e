# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page lists the options that there are, with the arguments that they take."""

import os
import re
import shutil
import subprocess
import unittest

from duodm import Duodm, QMPError, run

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man", "duodm.1")
QMP_PAGE = os.path.join(os.path.dirname(PAGE), "duodm-qmp.7")


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
        for page in PAGE, QMP_PAGE:
            result = subprocess.run(["mandoc", "-Tlint", "-W", "warning", page],
                                    capture_output=True, check=False)
            self.assertEqual(result.stdout + result.stderr, b"")
            self.assertEqual(result.returncode, 0)


class QmpPage(unittest.TestCase):
    maxDiff = None

    def page(self, macro):
        with open(QMP_PAGE, encoding="utf-8") as file:
            return dict(re.findall(rf"^\.It {macro} (\S+)(?: Ar (.*))?$", file.read(), re.M))

    def test_commands(self):
        page = self.page("Ic")
        with Duodm(qtest=True) as vm:
            names = [c["name"] for c in vm.qmp.execute("query-commands")]
            self.assertEqual(sorted(page), names)
            for name, arguments in page.items():
                if name == "qmp_capabilities" or "..." in arguments:
                    continue  # not a second time; and these take anything
                with self.assertRaisesRegex(QMPError, "takes no argument") as problem:
                    vm.qmp.execute(name, no_such_argument=1)
                known = str(problem.exception).split(": it takes ")[1]
                self.assertEqual(set(known.split(", ")), set(arguments.split() or ["none"]), name)

    def test_events(self):
        """All that the sources name."""
        found = set()
        for folder, _, files in os.walk(os.path.join(os.path.dirname(PAGE), "..", "src")):
            for name in files:
                if name.endswith(".c"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        found.update(re.findall(
                            r'(?:emit(?:_event|_cause)?|tell)\([^";]*"([A-Z]+(?:_[A-Z]+)*)"',
                            file.read()))
        self.assertGreater(len(found), 8)
        self.assertLessEqual(found, set(self.page("Dv")))


if __name__ == "__main__":
    unittest.main()
