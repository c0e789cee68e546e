#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run clang-tidy over all of src/: clang_tidy.py BUILD-FOLDER [--deep]. Exit status 1 if it has a
warning. --deep: the analyzer follows three times as many paths of each function, in twice the time."""
import concurrent.futures
import os
import re
import subprocess
import sys

# Without it clang's own limit, 225000.
SHALLOWER = ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=75000"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def flags(build):
    """The compiler flags of the build, from its Makefile."""
    with open(os.path.join(build, "Makefile"), encoding="utf-8") as f:
        variables = dict(re.findall(r"^([A-Z]+_CFLAGS) = (.*)$", f.read(), re.M))
    out = ["-std=gnu11", "-D_GNU_SOURCE", "-DHAVE_CONFIG_H", '-DDUODM_DATADIR="/usr/share/duodm"',
           "-I" + build, "-I" + os.path.join(build, "src"), "-I" + os.path.join(ROOT, "src")]
    for name in ("GLIB", "EVENT", "URCU", "JANSSON", "FDT", "SLIRP"):
        out += variables.get(name + "_CFLAGS", "").split()
    return out


def main():
    build = os.path.abspath(sys.argv[1])
    arguments = flags(build) + ([] if "--deep" in sys.argv[2:] else SHALLOWER)
    files = sorted(os.path.join(d, f) for d, _, names in os.walk(os.path.join(ROOT, "src"))
                   for f in names if f.endswith(".c"))

    def tidy(path):
        # As in src/backend-xen/xen.am: what of Xen's headers is for tools.
        more = ["-D__XEN_TOOLS__"] if "/backend-xen/" in path else []
        result = subprocess.run(["clang-tidy", "--quiet", path, "--", *arguments, *more], cwd=ROOT,
                                capture_output=True, text=True)
        return path, result.returncode, result.stdout

    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for path, status, output in pool.map(tidy, files):
            if status != 0 or "warning:" in output or "error:" in output:
                failed = True
                print(f"FAIL {os.path.relpath(path, ROOT)}\n{output}")
    print(f"{len(files)} files: {'FAILED' if failed else 'ok'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
