# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds scenarios and runs their tests, those of the same kind of L1 in one L1."""
import importlib.util
import itertools
import os
import sys
import threading
import time
import traceback

from harness.agent import Closed
from harness.bed import Bed
from harness.packages import ROOT
from harness.report import Log

TEST_LIMIT = 300  # s for one test, where its scenario does not name another: ten times what it takes
REPEAT = 3  # what --repeat is if nobody says it, and what limits are meant for
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios")


class Scenario:
    """A file in scenarios/: MACHINE, ENGINE and DEVICES that the program must have, IN_CI, tests."""

    def __init__(self, path):
        self.name = os.path.basename(path)[:-3].replace("_", "-")
        spec = importlib.util.spec_from_file_location("scenarios." + self.name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.what = module.__doc__.strip().splitlines()[0]
        self.machine = module.MACHINE
        self.engine = getattr(module, "ENGINE", "kvm")
        self.devices = getattr(module, "DEVICES", [])
        self.in_ci = getattr(module, "IN_CI", True)
        self.test_limit = getattr(module, "TEST_LIMIT", TEST_LIMIT)
        self.tests = [(name[len("test_"):].replace("_", "-"), function)
                      for name, function in vars(module).items() if name.startswith("test_")]

    def reason_to_skip(self, program):
        """What the program lacks, or None."""
        if self.engine and not program.has_engine(self.engine):
            return f"{program.name} has no engine {self.engine}"
        for device in self.devices:
            if not program.has_device(device):
                return f"{program.name} has no device {device}"
        return None


def find_scenarios():
    return [Scenario(os.path.join(FOLDER, name)) for name in sorted(os.listdir(FOLDER))
            if name.endswith(".py")]


class Watchdog:
    """Ends L1 if a test takes longer than limit, s: a test waits for many things, each with a limit
    of its own, and one that hangs must not take the time of all others."""

    def __init__(self, bed, limit):
        self.bed = bed
        self.timer = threading.Timer(limit, self._bite)
        self.limit = limit

    def _bite(self):
        self.bed.outer.end(f"the test is not done after {self.limit:.0f} s")

    def __enter__(self):
        self.timer.start()

    def __exit__(self, kind, value, trace):
        self.timer.cancel()


def run_test(bed, test, function, limit, results, again):
    """True if the test is done. False: it failed, and again says that it may be repeated (in another
    L1, if this one does not answer any more): nested virtual CPUs sometimes lock up, in L1's own
    kernel and in the guest's, under any program, when real CPUs are scarce. So a test may fail once
    in a run of all of them, which says so; not when it was asked for by its name, unless L1 died. A
    second time is a failure."""
    began = time.monotonic()
    bed.log.begin(test)
    try:
        with Watchdog(bed, limit):
            function(bed)
    except Exception:  # whatever a test may raise is its failure
        why = traceback.format_exc()
        bed.log("L0", bed.outer.monitor.registers().encode())
        bed.log("L0", bed.outer.monitor.human("info lapic").encode())
        bed.alive = bed.answers()
        path = bed.log.end(why)
        if again and not (bed.alive and bed.options.names):
            what = why.strip().splitlines()[-1] if bed.alive else "L1 does not answer any more"
            os.replace(os.path.join(ROOT, path), os.path.join(ROOT, path + ".first"))
            print(f"again   {test}: {what}, see {path}.first", flush=True)
            return False
        results.add_failure(test, time.monotonic() - began, why, path)
    else:
        bed.log.end(None)
        results.add_pass(test, time.monotonic() - began)
    return True


def start_bed(kind, program, programs, log, options):
    """An L1. One that does not come up gets a second chance, for the reason that run_test tells."""
    try:
        return Bed(kind, program, programs, log, options)
    except (Closed, TimeoutError) as problem:
        print(f"again   L1 '{kind}': {problem}", flush=True)
        return Bed(kind, program, programs, log, options)


def run_kind(kind, scenarios, program, programs, results, options):
    """All tests of the scenarios in one L1; in another one if it dies under a test."""
    todo = [(f"{scenario.name}.{name}", function,
             scenario.test_limit * max(1, options.repeat / REPEAT))
            for scenario in scenarios for name, function in scenario.tests]
    log = Log(kind, echo=options.log)
    repeated = set()
    try:
        while todo:
            began = time.monotonic()
            with start_bed(kind, program, programs, log, options) as bed:
                print(f"        L1 '{kind}' is up ({time.monotonic() - began:.1f} s)", flush=True)
                while todo and bed.alive:
                    test, function, limit = todo[0]
                    if run_test(bed, test, function, limit, results, test not in repeated):
                        todo.pop(0)
                    repeated.add(test)
                if options.keep and bed.alive:
                    keep(bed)
    except Exception as problem:  # the rest can't run
        why = f"L1 '{kind}' failed: {problem}" if not options.log else traceback.format_exc()
        results.add_failure(kind, 0.0, why, os.path.relpath(log.file.name, ROOT))
        for test, *_ in todo:
            results.add_failure(test, 0.0, f"not run: no L1 '{kind}'", "as above")
    finally:
        log.close()


def keep(bed):
    """A shell in L1 for a person, line by line, until the end of the input."""
    print("L1 is kept: a line is a shell command in it, Ctrl-D ends it")
    while True:
        try:
            line = input("L1# ")
        except EOFError:
            return
        status, output = bed.run(line, check=False)
        print(output, end="" if status == 0 else f"status {status}\n")


def run_scenarios(scenarios, program, programs, results, options):
    runnable = []
    for scenario in scenarios:
        reason = scenario.reason_to_skip(program)
        if reason:
            results.add_skip(scenario.name, reason)
        else:
            runnable.append(scenario)
    runnable.sort(key=lambda s: s.machine)
    for kind, group in itertools.groupby(runnable, key=lambda s: s.machine):
        run_kind(kind, list(group), program, programs, results, options)
    sys.stdout.flush()
