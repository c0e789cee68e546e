# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel modules of an unpacked kernel package, in the order in which they must be loaded.

An unpacked package has no modules.dep (depmod makes that on installation), so each module is asked
for its dependencies: its section .modinfo holds "depends=a,b".
"""
import lzma
import os
import re


def module_name(path):
    return os.path.basename(path).split(".")[0].replace("-", "_")


def parse_depends(data):
    """Names in a module's depends=, normalised; what data is: the module file."""
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    if not match:
        raise ValueError("no depends= in the module")
    return [name.decode().replace("-", "_") for name in match[1].split(b",") if name]


def load_order(names, depends):
    """names and all that they need, the needed first. depends: name -> names."""
    order, under_way = [], []

    def add(name):
        if name in order:
            return
        if name in under_way:
            raise ValueError(f"modules need each other: {under_way}")
        under_way.append(name)
        for needed in depends(name):
            add(needed)
        under_way.pop()
        order.append(name)

    for name in names:
        add(name.replace("-", "_"))
    return order


def read_module(path):
    """Its bytes; Debian compresses those of newer kernels."""
    opened = lzma.open(path) if path.endswith(".xz") else open(path, "rb")
    with opened as f:
        return f.read()


def list_modules(root):
    """Name -> path of the modules below a folder, and the names of those that are built in."""
    paths, builtin = {}, set()
    for folder, _, files in os.walk(root):
        for file in files:
            if file.endswith((".ko", ".ko.xz")):
                paths[module_name(file)] = os.path.join(folder, file)
            elif file == "modules.builtin":
                with open(os.path.join(folder, file), encoding="ascii") as f:
                    builtin |= {module_name(line.strip()) for line in f}
    return paths, builtin


def find_modules(kernel, names):
    """Paths of a kernel's modules, in load order; names that are built in are left out."""
    paths, builtin = list_modules(os.path.join(kernel.root, "lib", "modules"))
    if kernel.modules:
        paths.update(list_modules(kernel.modules)[0])

    def depends(name):
        if name in builtin:
            return []
        if name not in paths:
            raise ValueError(f"the kernel has no module {name}")
        return parse_depends(read_module(paths[name]))

    return [paths[name] for name in load_order(names, depends) if name not in builtin]
