#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that CI runs, in order: ./quickstart check calls it after the set-up.

    tests/check.py [STEP...]      all steps, or those named
    tests/check.py --list

Each step is one line here (STEPS). Builds go to build/check-*/, logs to build/check-logs/.
The last line is "N passed, N failed"; the exit status says the same. The testbed's nested machines
have the processors to themselves when they want them, and that is half of the time: the steps after
it run beside it, at a lower priority, and it is reported when it has ended.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build", "check-logs")
JOBS = str(os.cpu_count() or 2)
# A runner's line for a test that failed, and the first of what it says of it.
FAILURE = re.compile(r"^(?:FAILED  .*\n.*|FAIL:? .*|ERROR: tests.*)$", re.M)
totals = {"passed": 0, "failed": 0, "skipped": 0}
failures = []  # told once more at the end


class StepFailed(Exception):
    pass


def run(log, command, cwd=ROOT, env=None, limit=1800, check=True, first=False):
    """Run a command, its output into the log; returns (status, output). first: before what else is
    running."""
    log.write(f"$ {' '.join(command)[:400]}\n")
    log.flush()
    start = log.tell()
    try:
        status = subprocess.run(command if first else ["nice", "-n", "10", *command], cwd=cwd,
                                env={**os.environ, **(env or {})}, stdout=log,
                                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                timeout=limit).returncode
    except subprocess.TimeoutExpired:
        log.write(f"\nstopped after {limit} s\n")
        status = -1
    log.flush()
    with open(log.name, encoding="utf-8", errors="replace") as f:
        f.seek(start)
        output = f.read()
    if check and status != 0:
        raise StepFailed(f"'{' '.join(command[:4])}' ended with status {status}")
    return status, output


def build(log, name, *options, compiler="gcc", targets=("all",), env=None):
    """Configure (once) and make a build of the tree in build/check-NAME."""
    folder = os.path.join(ROOT, "build", "check-" + name)
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, "Makefile")):
        run(log, [os.path.join(ROOT, "configure"), f"CC={compiler}", "--enable-werror", *options],
            cwd=folder)
    # "all" is made by another make, which knows nothing of what this one makes meanwhile.
    for part in (targets[:1], targets[1:]) if targets[0] == "all" else (targets,):
        if part:
            run(log, ["make", "-k", "-j" + JOBS, *part], cwd=folder, env=env)
    return folder


def count(output, status, name):
    """Passed and failed of a runner's output: its last 'N passed, N failed', or automake's totals."""
    runner = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", output, re.M)
    automake = re.findall(r"^# (PASS|FAIL|ERROR|XPASS|SKIP): +(\d+)$", output, re.M)
    if runner:
        passed, failed, skipped = (int(n or 0) for n in runner[-1])
    elif automake:
        n = {k: int(v) for k, v in automake}
        passed, skipped = n.get("PASS", 0), n.get("SKIP", 0)
        failed = n.get("FAIL", 0) + n.get("ERROR", 0) + n.get("XPASS", 0)
    else:
        raise StepFailed(f"{name} printed no result")
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def unit(log, folder, env=None):
    status, output = run(log, ["make", "check", "-j" + JOBS], cwd=folder, env=env, check=False)
    if "fail" in output.lower():
        suite = os.path.join(folder, "test-suite.log")
        if os.path.exists(suite):
            with open(suite, encoding="utf-8", errors="replace") as f:
                log.write(f.read())
    return count(output, status, "make check")


def runner(log, folder, *names, env=None, limit=1800):
    status, output = run(log, [sys.executable, os.path.join(ROOT, "tests", "run.py"), "--jobs", JOBS,
                               *names],
                         env={"DUODM": os.path.join(folder, "duodm"), "DUODM_BUILD": folder,
                              **(env or {})}, limit=limit, check=False)
    return count(output, status, "tests/run.py")


# How many times longer than on a machine with nothing else to do anything may take. Only what hangs
# takes so long.
os.environ.setdefault("DUODM_TEST_SLOWER", "4")
ASAN = {"ASAN_OPTIONS": "detect_stack_use_after_return=0:abort_on_error=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1", "DUODM_TEST_SLOWER": "12"}
TSAN = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=20",
        "DUODM_TEST_SLOWER": "20"}


def step_source(log):
    status, output = run(log, [sys.executable, "tests/lib/check_source.py"], check=False)
    return output.count(": ok"), output.count(": FAILED") or int(status != 0), 0


def step_format(log):
    files = [f for f in subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, text=True,
                                       capture_output=True).stdout.split()]
    run(log, ["clang-format", "--dry-run", "-Werror", *files])
    return 1, 0, 0


def step_man(log):
    pages = [os.path.join("man", f) for f in sorted(os.listdir(os.path.join(ROOT, "man")))]
    _, output = run(log, ["mandoc", "-Tlint", "-W", "warning", *pages])
    return len(pages), 0, 0


def step_unit(log):
    return unit(log, build(log, "gcc"))


def step_native(log):
    folder = build(log, "gcc", targets=("all", "tests/native/compare"))
    status, output = run(log, [os.path.join(folder, "tests/native/compare"),
                               "--cases", "200000"], check=False)
    for line in re.findall(r"^.*(?:seed|rows|mismatch).*$", output, re.M)[:12]:
        print("    " + line)
    return (1, 0, 0) if status == 0 else (0, 1, 0)


def step_device(log):
    return runner(log, build(log, "gcc"), "device")


def step_guests(log):
    folder = build(log, "gcc", targets=("all", "guests"))
    return runner(log, folder, "system/guests", "system/block_log")


def step_portable(log):
    """As on a host of another kind: what is there for x86 alone is left out. Made from a copy of the
    other build, in which only what includes jit.h is compiled again."""
    built = build(log, "gcc", targets=("all", "guests"))
    folder = os.path.join(ROOT, "build", "check-portable")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(built, folder)
    run(log, ["make", "-j" + JOBS, "-W", os.path.join(ROOT, "src", "tcg", "jit.h"),
              "CPPFLAGS=-DJIT_SUPPORTED=0", "duodm"], cwd=folder)
    status, output = run(log, [os.path.join(folder, "duodm"), "-accel", "tcg,interpreter=off",
                               "-display", "none"], check=False, limit=30)
    if "this host does not execute" not in output:
        raise StepFailed(f"the translator is still there: {output}")
    return runner(log, folder, "guests.Guests", "boot.Shell.test_cloud")


def step_system(log):
    return runner(log, build(log, "gcc"), "system/hostile", "system/boot", "system/firmware",
                  "system/bad_files", "system/disk", "system/network", "system/cards", "system/usb",
                  "system/virtio", "system/microvm", "system/x86_64_v3", "system/compat32",
                  "system/display", "system/ide_boot", "system/intel_iommu",
                  "system/virtio_iommu", "system/hotplug", "system/snapshot", limit=3600)


def step_testbed(log):
    a = runner(log, build(log, "gcc"), "tests/testbed/harness_test.py")
    status, output = run(log, [sys.executable, "tests/testbed/run"], limit=2400, check=False,
                         first=True, env={"DUODM": os.path.join(ROOT, "build", "check-gcc", "duodm")})
    b = count(output, status, "tests/testbed/run")
    return tuple(x + y for x, y in zip(a, b))


def step_clang(log):
    return unit(log, build(log, "clang", compiler="clang"))


def step_tidy(log):
    folder = build(log, "clang", compiler="clang")
    run(log, [sys.executable, "tests/lib/clang_tidy.py", folder])
    return 1, 0, 0


def step_asan(log):
    folder = build(log, "asan", "--enable-sanitizer=address,undefined", targets=("all", "guests"))
    a = unit(log, folder, env=ASAN)
    b = runner(log, folder, "device", "system/guests", "system/hostile", "boot.Shell.test_cloud",
               "system/firmware", env=ASAN)
    return tuple(x + y for x, y in zip(a, b))


def step_tsan(log):
    folder = build(log, "tsan", "--enable-sanitizer=thread")
    a = unit(log, folder, env=TSAN)
    b = runner(log, folder, "device", env=TSAN)
    return tuple(x + y for x, y in zip(a, b))


def step_fuzz(log):
    folder = build(log, "fuzz", "--enable-fuzzer", "--enable-sanitizer=address,undefined",
                   compiler="clang",
                   targets=["tests/fuzz/" + name[:-2]
                            for name in sorted(os.listdir(os.path.join(ROOT, "tests/fuzz")))
                            if name.endswith(".c")])
    status, output = run(log, [sys.executable, "tests/fuzz/run.py", folder, "--seconds", "8",
                               "--jobs", JOBS], env=ASAN, check=False)
    return count(output, status, "tests/fuzz/run.py")


def step_dist(log):
    folder = build(log, "gcc")
    # Whether everything is in the archive, not what the compiler makes of it: that is known by now.
    run(log, ["make", "distcheck", "-j" + JOBS, "AM_DISTCHECK_CONFIGURE_FLAGS=CFLAGS=-O0"],
        cwd=folder, limit=900, env={"DUODM_TEST_QUICK": "1"})
    return 1, 0, 0


# name, what it shows, function. In CI's order: what fails most cheaply comes first.
STEPS = [
    ("source", "includes go one way; licences; no machine's names", step_source),
    ("format", "clang-format", step_format),
    ("man", "mandoc -Tlint", step_man),
    ("unit", "unit tests, gcc -Werror", step_unit),
    ("native", "random instructions against this CPU", step_native),
    ("device", "the binary over its test port, QMP and command line", step_device),
    ("guests", "guest programs that check the CPU and the board", step_guests),
    ("portable", "the interpreter alone, as on a host that is no x86", step_portable),
    ("system", "Debian kernels, SeaBIOS, hostile guests on tcg", step_system),
    ("testbed", "guests on a real, nested /dev/kvm", step_testbed),
    ("clang", "unit tests, clang -Werror", step_clang),
    ("tidy", "clang-tidy", step_tidy),
    ("asan", "unit, device, guests and a kernel under ASan and UBSan", step_asan),
    ("tsan", "unit and device tests under TSan", step_tsan),
    ("fuzz", "fuzz targets from their corpora, seconds each", step_fuzz),
    ("dist", "make distcheck", step_dist),
]


BESIDE = "testbed"  # goes on while what comes after it runs


def run_step(name, function):
    """(passed, failed, skipped, why it could not be run, seconds)."""
    began = time.monotonic()
    with open(log_of(name), "w+", encoding="utf-8", errors="replace") as log:
        try:
            result = (*function(log), "")
        except StepFailed as e:
            result = (0, 1, 0, f" ({e})")
    return (*result, time.monotonic() - began)


def log_of(name):
    return os.path.join(LOGS, name + ".log")


def report(name, passed, failed, skipped, reason, seconds):
    """Say how a step ended, and the end of its log if that was not well."""
    totals["passed"] += passed
    totals["failed"] += failed
    totals["skipped"] += skipped
    print(f"{name:8} {passed} ok, {failed} not ok{reason}, {seconds:.0f} s", flush=True)
    with open(log_of(name), encoding="utf-8", errors="replace") as log:
        text = log.read()
    for line in re.findall(r"^(?:.*\bskipped: |again   ).*$", text, re.M):
        print("    " + line)
    if failed:
        print(f"--- the end of {os.path.relpath(log_of(name), ROOT)}:")
        failures.extend(f"{name}: {line}" for line in dict.fromkeys(FAILURE.findall(text)))
        interesting = re.findall(r"^.*(?:FAIL|error:|ERROR|Sanitizer|mismatch).*$", text, re.M)
        print("\n".join(interesting[:40]))
        print("...")
        print("\n".join(text.splitlines()[-60:]), flush=True)


def lower_priority(by):
    """Of our session, where the host shares processors by sessions: nested machines have their own."""
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(by))
    except OSError:  # there is no such thing, or only root may raise it again
        pass


def run_steps(names):
    beside = None
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for name, what, function in STEPS:
            if names and name not in names:
                continue
            print(f"{name:8} {what} ...", flush=True)
            if name == BESIDE:
                lower_priority(10)
                beside = pool.submit(run_step, name, function)
            else:
                report(name, *run_step(name, function))
            if beside and beside.done():
                lower_priority(0)
                report(BESIDE, *beside.result())
                beside = None
        if beside:
            report(BESIDE, *beside.result())


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    known = {name for name, _, _ in STEPS}
    unknown = [a for a in sys.argv[1:] if a.startswith("-") and a not in ("-h", "--help", "--list")]
    if unknown or "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__.strip(), file=sys.stderr if unknown else sys.stdout)
        return 2 if unknown else 0
    if "--list" in sys.argv:
        for name, what, _ in STEPS:
            print(f"{name:8} {what}")
        return 0
    for name in names:
        if name not in known:
            print(f"check.py: there is no step '{name}': --list names them", file=sys.stderr)
            return 2
    os.makedirs(LOGS, exist_ok=True)
    run_steps(names)
    if failures:
        print("what failed:")
        print("\n".join(failures[:60]))
    line = f"{totals['passed']} passed, {totals['failed']} failed"
    if totals["skipped"]:
        line += f", {totals['skipped']} skipped"
    print(line)
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
