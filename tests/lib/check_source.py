#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the source as text: who includes whom, licence lines, sizes, files that are spoken of.

    check_source.py [includes|cycles|licence|names|size|mentions]...      all of them by default

Prints one line for each fault and, per check, "ok" or "FAILED". Exit status 1 if any failed.
"""
import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# folder of src/ -> the folders that its files may include. One way only: see ARCHITECTURE.md.
ALLOWED = {
    "util": {"util"},
    "memory": {"memory", "util"},
    "mapcache": {"mapcache", "memory", "util"},
    "iommu": {"iommu", "memory", "util"},
    "vfio": {"vfio", "iommu", "memory", "util"},
    "dm": {"dm", "vfio", "iommu", "mapcache", "memory", "util"},
    "tcg": {"tcg", "dm", "iommu", "memory", "util"},
    "backend-kvm": {"backend-kvm", "dm", "vfio", "iommu", "memory", "util"},
    "backend-xen": {"backend-xen", "dm", "vfio", "mapcache", "iommu", "memory", "util"},
}
# Headers that one folder alone may know.
PRIVATE_SYSTEM_HEADERS = {
    r"<linux/kvm\.h>": "backend-kvm",
    r"<xen[a-z]*\.h>|<xen/.*>": "backend-xen",
    r"<linux/vfio\.h>|<linux/iommufd\.h>": "vfio",
}
MAX_LINES = 800


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, text=True)
    if out.returncode == 0:
        return [f for f in out.stdout.splitlines() if os.path.isfile(os.path.join(ROOT, f))]
    return [os.path.relpath(os.path.join(d, f), ROOT)
            for d, _, names in os.walk(ROOT) for f in names]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def check_includes(files):
    for path in files:
        parts = path.split("/")
        if parts[0] != "src" or len(parts) < 3 or not path.endswith((".c", ".h", ".def")):
            continue
        folder = parts[1]
        text = read(path)
        for line, include in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', include)
            if match and "/" in match[1]:
                other = match[1].split("/")[0]
                if other in ALLOWED and other not in ALLOWED[folder]:
                    yield f"{path}:{line}: {folder} may not include {other} ({match[1]})"
            for pattern, owner in PRIVATE_SYSTEM_HEADERS.items():
                if re.match(r"\s*#\s*include\s+(" + pattern + ")", include) and folder != owner:
                    yield f"{path}:{line}: only {owner} may include that header"


def check_cycles(files):
    """Folders beside one another do not include each other, straight or by way of others."""
    includes = {}  # folder -> {folder: where}
    for path in files:
        folder = os.path.dirname(path)
        if not folder.startswith("src/") or not path.endswith((".c", ".h", ".def")):
            continue
        for line, text in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', text)
            other = "src/" + os.path.dirname(match[1]) if match else folder
            if other != folder and os.path.dirname(other) == os.path.dirname(folder):
                includes.setdefault(folder, {}).setdefault(other, f"{path}:{line}")

    def way(start, end, seen):
        """The folders from one to another, or None."""
        for other in includes.get(start, {}):
            if other == end:
                return [start, end]
            if other not in seen:
                seen.add(other)
                rest = way(other, end, seen)
                if rest:
                    return [start] + rest
        return None

    for folder, others in includes.items():
        for other, where in others.items():
            back = way(other, folder, {other})
            if back:
                yield f"{where}: {folder} includes {other}, which leads back: {' -> '.join(back)}"


def check_licence(files):
    for path in files:
        if not path.endswith((".c", ".h", ".def", ".py", ".S", ".s", ".sh", ".asl", ".ac", ".am", ".1", ".7", ".lds")):
            continue
        if "SPDX-License-Identifier: GPL-2.0-or-later" not in "\n".join(read(path).splitlines()[:3]):
            yield f"{path}:1: no SPDX-License-Identifier line"


def check_names(files):
    """No path of a machine and no registry in any file that is committed."""
    # Written so that this file does not find itself.
    words = [r"/wo" r"rk/", r"/home/[a-z]", r"deb\.debian\.or" r"g", r"security\.debian\.or" r"g"]
    for path in files:
        if path.startswith("tests/fuzz/corpus/"):
            continue
        for line, text in enumerate(read(path).splitlines(), 1):
            for word in words:
                if re.search(word, text):
                    yield f"{path}:{line}: names a machine or a registry"


def check_size(files):
    for path in files:
        if path.endswith((".c", ".h", ".py")):
            lines = read(path).count("\n")
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, more than {MAX_LINES}: one file, one idea"


def check_mentions(files):
    """A file of ours that a comment or a text speaks of is there: names without a folder, as most are;
    in texts (.md), what is named with its folder (`tests/fuzz/`, `iommu/vtd*.c`), too."""
    there = {os.path.basename(path) for path in files}
    name = re.compile(r"""(?<![\w./<"'*-])([\w-]+\.(?:c|py|md|def))\b(?!["'])""")
    for path in files:
        if not path.endswith((".c", ".h", ".def", ".S", ".py", ".md", ".am")):
            continue
        for line, text in enumerate(read(path).splitlines(), 1):
            for word in name.findall(text):
                if word not in there:
                    yield f"{path}:{line}: there is no file {word}"
            for word in re.findall(r"`([\w.*-]+/[\w./*-]*)`", text) if path.endswith(".md") else ():
                if not is_there(files, word, os.path.dirname(path)):
                    yield f"{path}:{line}: there is no {word}"


def is_there(files, word, folder):
    """A path (* matches) as texts have it: from the root, src/, src/dm/, or the text's own folder. What is
    made by a build, or has no ending of a source, is not looked for."""
    if word.startswith("build/") or not re.search(r"/$|\.(?:c|h|S|py|def|asl|md|am)$", word):
        return True
    return any(fnmatch.fnmatch(path, base + word + "*" * word.endswith("/"))
               for base in ("", "src/", "src/dm/", folder + "/") for path in files)


CHECKS = {"includes": check_includes, "cycles": check_cycles, "licence": check_licence, "names": check_names,
          "size": check_size, "mentions": check_mentions}


def main():
    files = tracked()
    failed = False
    for name in sys.argv[1:] or CHECKS:
        faults = list(CHECKS[name](files))
        for fault in faults:
            print(fault)
        print(f"{name}: {'FAILED' if faults else 'ok'}")
        failed |= bool(faults)
    sys.exit(failed)


if __name__ == "__main__":
    main()
