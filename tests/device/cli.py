# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: what is wrong is told in one clear line, ends with status 1, leaves nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from duodm import BINARY, QMP, SLOWER, Duodm, run

QTEST = ("-accel", "qtest", "-nodefaults")

# Arguments, and what the message must have in it besides the option.
BAD = [
    # options
    (["-foo"], ["no such option"]),
    (["-kernal", "x"], ["'-kernel'"]),
    (["--kernal", "x"], ["'-kernel'"]),
    (["-no-rebot"], ["'-no-reboot'"]),
    (["disk.img"], ["disk.img"]),
    (["-"], ["not an option"]),
    (["--"], ["not an option"]),
    ([""], ["not an option"]),
    (["-m"], ["argument"]),
    (["-kernel"], ["argument"]),
    # memory
    (["-m", "0"], ["-m 0"]),
    (["-m", "1"], ["-m 1", "2M"]),
    (["-m", "1P"], ["-m 1P", "this host has"]),
    (["-m", "-1"], ["-m -1"]),
    (["-m", "x"], ["-m x"]),
    (["-m", "12Q"], ["-m 12Q"]),
    (["-m", "99999999999999999999999"], ["-m 999"]),
    (["-m", "16E"], ["-m 16E"]),
    (["-m", ""], ["-m"]),
    (["-m", "size=0"], ["-m size=0"]),
    (["-m", "512,slots=2"], ["slots"]),
    (["-m", "1G,siez=1"], ["'size'"]),
    # CPUs
    (["-smp", "0"], ["-smp 0"]),
    (["-smp", "100000"], ["-smp 100000"]),
    (["-smp", "-1"], ["-smp -1"]),
    (["-smp", "x"], ["-smp x"]),
    (["-smp", "4294967297"], ["-smp 4294967297"]),
    (["-smp", "cpus=0"], ["cpus"]),
    (["-smp", "2,cores=3"], ["3 CPUs, not 2"]),
    (["-smp", "sockets=200,cores=200"], ["CPUs"]),
    (["-smp", "4,maxcpus=2"], ["maxcpus"]),
    (["-smp", "2,coers=2"], ["'cores'"]),
    # machine and engine
    (["-machine", "pcc"], ["'pc'"]),
    (["-M", "nonsense"], ["nonsense"]),
    (["-M", "pc,nonsense=1"], ["nonsense"]),
    (["-M", "pc,acpi=maybe"], ["maybe", "acpi"]),
    (["-accel", "foo"], ["foo"]),
    (["-accel", "qtets"], ["'qtest'"]),
    (["-accel", ""], ["engine"]),
    (["-machine", "accel=foo"], ["foo"]),
    (["-accel", "qtest,foo=1"], ["foo"]),
    # devices
    (["-device", "isa-serail"], ["'isa-serial'"]),
    (["-device", ""], ["device"]),
    (["-device", "isa-serial,iobse=1"], ["'iobase'"]),
    (["-device", "isa-serial,=1"], ["key"]),
    ([*QTEST, "-device", "isa-serial,iobase=x"], ["iobase", "x"]),
    ([*QTEST, "-device", "isa-serial,iobase=0x10000"], ["iobase"]),
    ([*QTEST, "-device", "isa-serial,irq=16"], ["irq"]),
    ([*QTEST, "-device", "isa-serial,irq=010"], ["-device: device 'isa-serial'", "leading zeros"]),
    ([*QTEST, "-device", "isa-serial,index=4"], ["index"]),
    ([*QTEST, "-device", "isa-serial,chardev=nobody"], ["nobody"]),
    ([*QTEST, "-device", "isa-serial,bus=pci.7"], ["'isa-serial'", "pci.7"]),
    ([*QTEST, "-device", "isa-debugcon,id=a", "-device", "isa-debugcon,id=a,iobase=1"], ["'a'"]),
    (["-global", "isa-serial"], ["DRIVER.PROPERTY"]),
    (["-global", "isa-serail.irq=1"], ["'isa-serial'"]),
    (["-global", "isa-serial.foo=1"], ["foo"]),
    (["-global", "driver=isa-serial,value=1"], ["property="]),
    # character devices
    ([*QTEST, "-serial", "nonsense"], ["nonsense"]),
    ([*QTEST, "-serial", "telnet:x:1"], ["telnet"]),
    ([*QTEST, "-serial", "chardev:nobody"], ["nobody"]),
    ([*QTEST, "-serial", "tcp:nowhere"], ["tcp"]),
    ([*QTEST, "-serial", "unix:"], ["unix"]),
    ([*QTEST, "-serial", "unix:/nonexistent/socket"], ["/nonexistent/socket"]),
    ([*QTEST, "-serial", "file:/nonexistent/file"], ["/nonexistent/file"]),
    ([*QTEST, "-serial", "stdio", "-monitor", "stdio"], ["standard input"]),
    (["-serial", "null"] * 5, ["4 serial ports"]),
    ([*QTEST, "-chardev", "stdoi,id=x"], ["'stdio'"]),
    ([*QTEST, "-chardev", "null"], ["id="]),
    ([*QTEST, "-chardev", "null,id=a b"], ["id"]),
    ([*QTEST, "-chardev", "null,id=a", "-chardev", "null,id=a"], ["'a'"]),
    ([*QTEST, "-chardev", "null,id=a,foo=1"], ["foo"]),
    ([*QTEST, "-chardev", "file,id=a"], ["path="]),
    ([*QTEST, "-chardev", "socket,id=a"], ["path="]),
    ([*QTEST, "-chardev", "socket,id=a,path=/x,port=1"], ["one of"]),
    ([*QTEST, "-chardev", "socket,id=a,path=" + "x" * 200], ["path"]),
    ([*QTEST, "-chardev", "socket,id=a,fd=77"], ["fd=77"]),
    ([*QTEST, "-chardev", "socket,id=a,port=99999,server=on,wait=off"], ["99999"]),
    ([*QTEST, "-chardev", "socket,id=a,path=/nonexistent/x,server=maybe"], ["maybe"]),
    ([*QTEST, "-chardev", "socket,id=a,path=/x,server=on,wait=off,reconnect=1"], ["reconnect"]),
    ([*QTEST, "-mon", "nobody"], ["nobody"]),
    ([*QTEST, "-mon", "chardev=x,mode=foo"], ["foo"]),
    ([*QTEST, "-mon", "mode=control"], ["chardev="]),
    ([*QTEST, "-chardev", "null,id=a,mux=on", "-mon", "a,mode=control"], ["share"]),
    ([*QTEST, "-chardev", "null,id=a", "-mon", "a", "-mon", "a"], ["in use"]),
    # guest
    (["-append", "x"], ["-kernel"]),
    (["-initrd", "x"], ["-kernel"]),
    (["-boot", "order=zz"], ["zz"]),
    (["-boot", "menu=maybe"], ["maybe"]),
    (["-boot", "oder=c"], ["'order'"]),
    (["-fw_cfg", "x"], ["file="]),
    (["-fw_cfg", "name=" + "x" * 56 + ",string=a"], ["55"]),
    (["-fw_cfg", "name=opt/x,string=a,file=b"], ["one of"]),
    (["-rtc", "base=yesterday"], ["localtime"]),
    (["-rtc", "base=2024-13-01"], ["localtime"]),
    (["-uuid", "123"], ["UUID"]),
    (["-name", ""], ["name"]),
    # what this version lacks
    (["-display", "gtk"], ["none"]),
    (["-vga", "qxl"], ["std"]),
    (["-vnc", "1"], ["none"]),
    (["-net", "user"], ["none"]),
    ([*QTEST, "-nic", "usr"], ["user"]),
    ([*QTEST, "-vnc", "unix:"], ["1 to 107 bytes"]),
    ([*QTEST, "-vnc", "unix:" + "x" * 200], ["1 to 107 bytes"]),
    (["-vnc", ":x"], ["':x' is no display"]),
    # what is elsewhere
    (["-enable-kvm"], ["-accel kvm"]),
    (["-daemonize"], ["-pidfile"]),
    # disks
    ([*QTEST, "-drive", "file=/"], ["'/' is a directory"]),
    ([*QTEST, "-hda", "/nonexistent/image"], ["-hda: ", "/nonexistent/image"]),
    ([*QTEST, "-hda", "a", "-cdrom", "b", "-hdc", "c"], ["-hdc: ", "index=2"]),
    ([*QTEST, "-drive", "file=/dev/zero,format=raw"], ["neither a file nor a block device"]),
    ([*QTEST, "-blockdev", "null-co,node-name=d,size=1M", "-device", "virtio-blk-pci,drive=d", "-device",
      "virtio-blk-pci,drive=d"], ["'d' is used by a device without an id"]),
    ([*QTEST, "-incoming", "file:/nonexistent/state"], ["-incoming", "/nonexistent/state"]),
    # log and files
    ([*QTEST, "-d", "nonsense"], ["nonsense"]),
    ([*QTEST, "-D", "/nonexistent/log"], ["/nonexistent/log"]),
    ([*QTEST, "-trace", "nonsense*"], ["nonsense*"]),
    ([*QTEST, "-trace", "events=/nonexistent/x"], ["/nonexistent/x"]),
    ([*QTEST, "-pidfile", "/nonexistent/pid"], ["/nonexistent/pid"]),
    ([*QTEST, "-qtest", "null", "-qtest-log", "/nonexistent/log"], ["/nonexistent/log"]),
    ([*QTEST, "-bios", "/nonexistent/bios"], ["/nonexistent/bios"]),
]


class Bad(unittest.TestCase):
    def test_bad_input(self):
        for arguments, parts in BAD:
            with self.subTest(arguments=" ".join(arguments)[:100]):
                result = run(*arguments)
                lines = result.stderr.splitlines()
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertEqual(len(lines), 1, result.stderr)
                self.assertTrue(lines[0].startswith("duodm: "), result.stderr)
                self.assertEqual(result.stdout, "")
                for part in parts:
                    self.assertIn(part, lines[0])

    def test_arguments_that_are_no_text(self):
        for value in (b"\xff\xfe", b"a" * 100000, b"%s%n", b",,,,", b"=", b"\x1b[2J"):
            for option in ("-m", "-smp", "-machine", "-device", "-serial", "-boot", "-rtc", "-uuid",
                           "-global", "-fw_cfg", "-accel", "-mon", "-net"):
                with self.subTest(option=option, value=value[:20]):
                    result = subprocess.run([BINARY, *QTEST, option, value], capture_output=True,
                                            timeout=20 * SLOWER, check=False,
                                            stdin=subprocess.DEVNULL)
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertTrue(result.stderr.startswith(b"duodm: "), result.stderr)


class Files(unittest.TestCase):
    """An unusual kind of file, or one with fewer rights than are wanted, makes nothing hang."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = os.path.join(self.folder, "file")

    def test_fifo(self):
        os.mkfifo(self.file)
        for more in ("", ",readonly=on"):
            result = run(*QTEST, "-drive", f"file={self.file},format=raw{more}")
            self.assertEqual(result.returncode, 1)
            self.assertIn("neither a file nor a block device", result.stderr)

    def test_disk_that_cannot_be_written(self):
        with open(self.file, "wb") as file:
            file.truncate(1 << 20)
        with Duodm("-drive", f"file={self.file},format=raw,if=ide,id=d,readonly=on", qtest=True) as vm:
            self.assertEqual(vm.quit(), 0)
            self.assertIn("drive 'd' is read-only", vm.stderr())

    def test_processor_of_the_host(self):
        if "tcg " not in run("-accel", "help").stdout:
            self.skipTest("this build has no engine tcg")
        result = run("-accel", "tcg", "-cpu", "host,-avx")
        self.assertEqual(result.returncode, 1)
        self.assertIn("-cpu max", result.stderr)


class HostMemory(unittest.TestCase):
    def test_more_than_the_host_has(self):
        with open("/proc/sys/vm/overcommit_memory", encoding="ascii") as file:
            if file.read().strip() == "1":
                self.skipTest("vm.overcommit_memory is 1")
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        have = sum(int(fields[name].split()[0]) for name in ("MemTotal", "SwapTotal"))
        result = run(*QTEST, "-m", f"{have // 1024 + 1}M")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(f"{int(fields['MemTotal'].split()[0]) // 1024} MiB of RAM", result.stderr)


class NothingLeftBehind(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_failed_start(self):
        """The last step fails; pidfile, socket and link of the earlier ones are gone."""
        result = run(*QTEST, "-pidfile", self.path("pid"),
                     "-chardev", f"socket,id=s,path={self.path('sock')},server=on,wait=off",
                     "-chardev", f"pty,id=p,path={self.path('link')}",
                     "-device", "isa-serial,irq=99")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_normal_end_and_signals(self):
        for number in (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                vm = Duodm("-pidfile", self.path("pid"), "-chardev",
                           f"socket,id=s,path={self.path('sock')},server=on,wait=off", qtest=True)
                with vm:
                    with open(self.path("pid"), encoding="ascii") as file:
                        self.assertEqual(int(file.read()), vm.process.pid)
                    self.assertTrue(os.path.exists(self.path("sock")))
                    if number:
                        vm.process.send_signal(number)
                        vm.qmp.wait_event("SHUTDOWN")
                        self.assertEqual(vm.wait(), 0)
                    else:
                        self.assertEqual(vm.quit(), 0)
                    self.assertEqual(os.listdir(self.folder), [])

    def test_pidfile_in_use(self):
        with Duodm("-pidfile", self.path("pid"), qtest=True) as vm:
            result = run(*QTEST, "-pidfile", self.path("pid"))
            self.assertEqual(result.returncode, 1)
            self.assertIn("another process", result.stderr)
            self.assertTrue(os.path.exists(self.path("pid")))
            vm.quit()

    def test_pidfile_that_is_no_file(self):
        """It is told the number, and stays: a pipe here, /dev/null in life."""
        os.mkfifo(self.path("pipe"))
        pipe = os.open(self.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        with Duodm("-pidfile", self.path("pipe"), qtest=True) as vm:
            self.assertEqual(int(os.read(pipe, 100)), vm.process.pid)
            self.assertEqual(vm.quit(), 0)
        self.assertEqual(os.listdir(self.folder), ["pipe"])

    def test_pidfile_by_a_link(self):
        """What the link leads to is removed; the link is not ours."""
        os.symlink(self.path("pid"), self.path("link"))
        with Duodm("-pidfile", self.path("link"), qtest=True) as vm:
            self.assertTrue(os.path.exists(self.path("pid")))
            self.assertEqual(vm.quit(), 0)
        self.assertEqual(os.listdir(self.folder), ["link"])

    def test_names_that_others_have_now(self):
        """What somebody else has put in the place of a socket, link or pidfile stays."""
        names = ["chardev", "pid", "pty", "stream", "dgram", "vnc"]
        with Duodm("-pidfile", self.path("pid"),
                   "-chardev", f"socket,id=s,path={self.path('chardev')},server=on,wait=off",
                   "-chardev", f"pty,id=p,path={self.path('pty')}",
                   "-netdev", f"stream,id=n,server=on,addr.type=unix,addr.path={self.path('stream')}",
                   "-netdev", f"dgram,id=m,local.type=unix,local.path={self.path('dgram')},"
                   f"remote.type=unix,remote.path={self.path('none')}",
                   "-vnc", "unix:" + self.path("vnc"), qtest=True) as vm:
            self.assertEqual(sorted(os.listdir(self.folder)), sorted(names))
            for name in names:
                os.rename(self.path(name), self.path(name + ".old"))
                with open(self.path(name), "w", encoding="ascii"):
                    pass
            self.assertEqual(vm.quit(), 0)
        for name in names:
            self.assertTrue(os.path.exists(self.path(name)), name)

    def test_signal_while_waiting_for_a_client(self):
        path = self.path("sock")
        process = subprocess.Popen([BINARY, *QTEST, "-chardev",
                                    f"socket,id=s,path={path},server=on"],
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertIn(b"waits for a client", process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10 * SLOWER), 1)
        self.assertIn(b"interrupted", process.stderr.read())
        process.stderr.close()
        self.assertEqual(os.listdir(self.folder), [])

    def test_client_is_greeted_before_the_engine_fails(self):
        if "tcg " not in run("-accel", "help").stdout:
            self.skipTest("this build has no engine tcg")
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [BINARY, "-accel", "tcg,lockstep=on", "-smp", "2", "-nodefaults", "-chardev",
             f"socket,id=q,fd={theirs.fileno()}", "-mon", "q,mode=control"],
            pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        theirs.close()
        self.addCleanup(process.kill)
        with ours.makefile("rb") as stream:
            self.assertIn("QMP", json.loads(stream.readline()))
            self.assertEqual(stream.read(), b"")  # no answer, no event: closed
        self.assertEqual(process.wait(10 * SLOWER), 1)
        message = process.stderr.read()
        self.assertIn(b"lockstep=on", message)
        self.assertEqual(message.count(b"\n"), 1, message)
        process.stderr.close()
        ours.close()

    def test_ignored_hangup_stays_ignored(self):
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [BINARY, *QTEST, "-chardev", f"socket,id=q,fd={theirs.fileno()}", "-mon",
             "q,mode=control"], pass_fds=[theirs.fileno()],
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        theirs.close()
        self.addCleanup(process.kill)
        client = QMP(ours)
        process.send_signal(signal.SIGHUP)
        client.execute("query-status")
        client.execute("quit")
        self.assertEqual(process.wait(10 * SLOWER), 0)
        ours.close()


class Help(unittest.TestCase):
    def test_help(self):
        texts = {run(option).stdout for option in ("-help", "--help", "-h", "-?")}
        self.assertEqual(len(texts), 1)
        text = texts.pop()
        for option in ("-machine, -M", "-accel", "-cpu", "-smp", "-m ", "-kernel", "-initrd",
                       "-append", "-bios", "-serial", "-chardev", "-monitor", "-mon ", "-qmp",
                       "-display none", "-nographic", "-device", "-global", "-nodefaults",
                       "-no-user-config", "-no-reboot", "-no-shutdown", "-S", "-name", "-uuid",
                       "-pidfile", "-D", "-d ", "-version", "-help", "-trace", "-qtest"):
            self.assertIn(f"\n  {option}", text)

    def test_lists(self):
        for arguments, part in ((["-machine", "help"], "pc"), (["-M", "?"], "pc"),
                                (["-accel", "help"], "qtest"), (["-device", "help"], "isa-serial"),
                                (["-device", "isa-serial,help"], "iobase"),
                                (["-M", "pc,help"], "accel"), (["-chardev", "help"], "pty"),
                                (["-d", "help"], "guest_errors"),
                                (["-d", "help"], "out_asm"),
                                (["-trace", "help"], "memory_unassigned_read"),
                                (["-version"], "duodm version ")):
            with self.subTest(arguments=arguments):
                result = run(*arguments)
                self.assertEqual(result.returncode, 0)
                self.assertIn(part, result.stdout)
                self.assertEqual(result.stderr, "")

    def test_cpu_help(self):
        engines = run("-accel", "help").stdout
        if "tcg" not in engines:
            self.skipTest("no engine with CPUs in this build")
        result = run("-cpu", "help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("max", result.stdout)
        for model in ("nonsense", "max,+nonsense", "max,-nonsense"):
            result = run("-accel", "tcg", "-cpu", model)
            self.assertEqual(result.returncode, 1)
            self.assertIn("nonsense", result.stderr)

    def test_help_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            status = subprocess.run([BINARY, "-help"], stdout=full, timeout=20 * SLOWER,
                                    check=False).returncode
        self.assertEqual(status, 1)


def missing_engine():
    """An engine that this build lacks."""
    built = run("-accel", "help").stdout
    return next((name for name in ("xen", "kvm", "tcg") if name not in built), None)


@unittest.skipUnless(missing_engine(), "all engines are built in")
class Fallback(unittest.TestCase):
    def test_falls_through_and_says_so_once(self):
        name = missing_engine()
        for arguments in (["-accel", name, "-accel", "qtest"],
                          ["-machine", f"pc,accel={name}:qtest"]):
            with Duodm("-nodefaults", *arguments) as vm:
                vm.quit()
                self.assertEqual(vm.stderr().count("qtest"), 1, vm.stderr())
                self.assertEqual(len(vm.stderr().splitlines()), 1)

    def test_none_left(self):
        result = run("-accel", missing_engine())
        self.assertEqual(result.returncode, 1)
        self.assertIn(missing_engine(), result.stderr)


@unittest.skipUnless("kvm " in run("-accel", "help").stdout, "kvm is not built in")
class Kvm(unittest.TestCase):
    """What of the engine can be seen without /dev/kvm."""

    def test_options_are_checked(self):
        for options, message in ((("-accel", "kvm,irqchip=on"), "no option 'irqchip'"),
                                 (("-machine", "kernel-irqchip=half"), "on, off or split"),
                                 (("-global", "kvm-pit.policy=delay"), "policy"),
                                 (("-device", "kvm-pit"), "part of the machine")):
            result = run(*options)
            self.assertEqual(result.returncode, 1)
            self.assertIn(message, result.stderr)

    def test_help(self):
        self.assertIn("dirty-ring-size", run("-accel", "kvm,help").stdout)


@unittest.skipUnless("xen " in run("-accel", "help").stdout, "xen is not built in")
class Xen(unittest.TestCase):
    """Device classes that only this engine has."""

    def test_another_engine_has_no_use_for_them(self):
        self.assertIn("\nxen-pci-passthrough ", run("-device", "help").stdout)
        result = run(*QTEST, "-device", "xen-pci-passthrough,hostaddr=00:05.0")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("is for Xen domains", result.stderr)


class Configuration(unittest.TestCase):
    def test_global_applies(self):
        with Duodm("-global", "isa-debugcon.readback=0x55", "-global",
                   "driver=isa-debugcon,property=iobase,value=0x500", "-device", "isa-debugcon",
                   qtest=True) as vm:
            self.assertEqual(vm.qtest.inb(0x500), 0x55)

    def test_comma_escape(self):
        with Duodm("-name", "a,,b", "-chardev", "file,id=f,path=@/x,,y", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-name"), {"name": "a,b"})
            self.assertTrue(os.path.exists(vm.path("x,y")))

    def test_double_dash(self):
        with Duodm("--name", "double", "--S", qtest=True) as vm:
            self.assertEqual(vm.qmp.execute("query-name"), {"name": "double"})
            self.assertEqual(vm.qmp.execute("query-status")["status"], "prelaunch")

    def test_log_file(self):
        with Duodm("-trace", "memory_unassigned_*", "-D", "@/log", qtest=True) as vm:
            vm.qtest.inb(0x9999)
            with open(vm.path("log"), encoding="utf-8") as file:
                self.assertIn("memory_unassigned_read", file.read())


if __name__ == "__main__":
    unittest.main()
