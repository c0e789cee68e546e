# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine xenfv as a domain finds it, with a mock of Xen: what is where, requests of all kinds,
calls that fail, a domain or a xenstored that dies, saved state. The testbed has the real one."""
import errno
import itertools
import os
import re
import struct
import unittest

from duodm import QMPError, run
from saved import differences
from xen import BUFFER_PORT, CONFIG, COPY, DOMAIN, INVALIDATE, PAGE, TIME_OFFSET, Domain, library

STATE = f"/local/domain/0/device-model/{DOMAIN}/state"
PLATFORM_PORT = 0xC100
RAM = 0x200000


def identify(domain):
    """IDENTIFY DEVICE of the first disk, whose data then wait."""
    ide = 1 << 3 | 1
    domain.config_write(ide, 4, 1, 2)
    domain.config_write(ide, 0x40, 0x8000, 2)
    domain.port_write(0x1F6, 0xA0)
    domain.port_write(0x1F7, 0xEC)
    while domain.port_read(0x1F7) != 0x58:
        pass


@unittest.skipUnless("xen " in run("-accel", "help").stdout and library(),
                     "the engine xen is not built in")
class Xen(unittest.TestCase):
    def domain(self, *arguments, machine="xenfv", started=True, **settings):
        domain = Domain(**settings)
        self.addCleanup(domain.close)
        if started:
            domain.start(*arguments, machine=machine)
            domain.vm.qmp.execute("query-status")
        return domain

    def functions(self, domain):
        """{devfn: (vendor, device, class)} of what answers configuration cycles."""
        found = {}
        for device, function in re.findall(r"^function (\w+)\.(\d)$", domain.log(), re.M):
            devfn = int(device, 16) << 3 | int(function)
            ids = domain.config_read(devfn, 0)
            found[devfn] = (ids & 0xFFFF, ids >> 16, domain.config_read(devfn, 8) >> 16)
        return found


class Machine(Xen):
    def test_what_hvmloader_looks_for(self):
        """It stops the domain if the bridge is not at 00:01.0, or the power management another."""
        domain = self.domain("-device", "VGA,vgamem_mb=8")
        functions = self.functions(domain)
        self.assertEqual(functions[0][:2], (0x8086, 0x1237))
        self.assertEqual(functions[1 << 3][:2], (0x8086, 0x7000))
        self.assertEqual({f[:2] for f in functions.values() if f[2] == 0x0680},
                         {(0x8086, 0x7113)})
        self.assertIn((0x5853, 0x0001), {f[:2] for f in functions.values()})
        self.assertEqual({f[:2] for f in functions.values() if f[2] == 0x0300},
                         {(0x1234, 0x1111)})
        self.assertEqual(domain.stored(STATE), "running")

    def test_unplug_protocol(self):
        domain = self.domain()
        self.assertEqual(domain.port_read(0x10, 2), 0x49D2)
        ports = re.findall(r"^range ports (\w+) (\w+)$", domain.log(), re.M)
        self.assertIn(("0x10", "0x1f"), ports)

    def test_back_ends_are_refused(self):
        """Linux waits half a minute for xl's vkbd if nobody says that it is not served."""
        domain = self.domain(started=False)
        backend = "/local/domain/0/backend"
        states = [f"{backend}/{device}/state" for device in
                  (f"vkbd/{DOMAIN}/0", f"qdisk/{DOMAIN}/768", f"qdisk/{DOMAIN}/5632",
                   f"vbd/{DOMAIN}/832", f"vkbd/{DOMAIN + 1}/0")]
        for state in states:
            domain.put(state, "1")
        domain.start()
        self.assertEqual([domain.stored(state) for state in states], ["6", "6", "6", "1", "1"])
        self.assertEqual(domain.stored(STATE), "running")
        self.assertRegex(domain.vm.stderr(), "device 768 has the back end 'qdisk'")
        self.assertNotIn("vkbd", domain.vm.stderr())

    def test_states(self):
        domain = self.domain("-S", started=False)
        qmp = domain.start("-S").qmp
        self.assertEqual(qmp.execute("query-status")["status"], "prelaunch")
        qmp.execute("cont")
        self.assertEqual(domain.stored(STATE), "running")
        qmp.execute("stop")
        self.assertEqual(domain.stored(STATE), "paused")

    def test_restricted(self):
        """dm_restrict: the store is left before the rights are, and the toolstack looks over QMP."""
        domain = self.domain("-S", "-xen-domid-restrict", "-device", "VGA,vgamem_mb=8")
        self.assertEqual(domain.vm.qmp.execute("query-status")["status"], "prelaunch")
        domain.vm.qmp.execute("cont")
        self.assertEqual(domain.config_read(1 << 3, 0), 0x70008086)
        self.assertRegex(domain.log(), "(?s)store closed\n.*restrict\n")
        domain.vm.qmp.execute("quit")
        self.assertEqual(domain.vm.wait(), 0)
        self.assertEqual(domain.vm.stderr(), "")

    def test_most_vcpus(self):
        domain = self.domain(vcpus=128)
        for vcpu in 0, 1, 127:
            domain.port_write(0x80, vcpu, vcpu=vcpu)
            self.assertEqual(domain.port_read(0x80, vcpu=vcpu), vcpu)
        self.assertEqual(len(re.findall("^bind ", domain.log(), re.M)), 129)
        for count, wanted, text in ((129, 1, "129 vCPUs, too many"), (2, 3, "2 vCPUs at most")):
            domain = self.domain(vcpus=count, started=False)
            result = run("-nodefaults", *domain.line("-smp", str(wanted)),
                         env=domain.environment())
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(text, result.stderr)

    def test_disk_and_card_as_libxl_asks_for_them(self):
        domain = self.domain("-device", "VGA,vgamem_mb=8", "-drive",
                             "driver=null-co,size=1M,if=ide,index=0,media=disk", "-drive",
                             "if=none,readonly=on,id=ide-5632", "-device",
                             "ide-cd,id=ide-5632,drive=ide-5632,bus=ide.1,unit=0", "-netdev",
                             "user,id=net0", "-device",
                             "rtl8139,id=nic0,netdev=net0,mac=00:16:3e:00:00:01", "-usb",
                             "-usbdevice", "tablet", "-vnc", "127.0.0.1:0,to=99")
        kinds = {f[2] for f in self.functions(domain).values()}
        self.assertLessEqual({0x0101, 0x0200, 0x0300, 0x0C03}, kinds)
        identify(domain)
        domain.wait_log("^isa 14 1$")


class Requests(Xen):
    def test_repeated(self):
        domain = self.domain("-serial", "null")
        domain.store(RAM, bytes(range(64)))
        # REP OUTSB to port 80h leaves the last; with DF from the end.
        domain.port_write(0x80, RAM, count=64, flags=0x10)
        self.assertEqual(domain.port_read(0x80), 63)
        domain.request(0, 0x80, RAM + 63, 1, is_read=False, count=64, flags=0x50)
        self.assertEqual(domain.port_read(0x80), 0)
        domain.request(0, 0x80, RAM + 256, 1, count=16, flags=0x10)  # REP INSB
        self.assertEqual(domain.read(RAM + 256, 17), bytes(17))

    def test_buffered_come_first(self):
        domain = self.domain()
        # One buffered write to port 80h (as memory that nobody has: it is ignored), then ours.
        domain.requests[8:16] = bytes([COPY, 0x02, 0, 0x0B, 0x55, 0, 0, 0])
        domain.requests[4:8] = (1).to_bytes(4, "little")
        domain.port_write(0x80, 7)
        self.assertEqual(domain.requests[0:4], domain.requests[4:8])
        domain.notify(BUFFER_PORT)
        self.assertEqual(domain.port_read(0x80), 7)

    def test_nonsense(self):
        """Whatever is asked, it is answered, and nothing else changes."""
        domain = self.domain()
        before = domain.read(RAM, 4096)
        for kind in (0, COPY, CONFIG, INVALIDATE, 3, 5, 200, 255):
            for address in (0, 0xFFFFFFFFFFFFFFFF, 1 << 40, 0xCF8, 0xFFFF):
                for size in (0, 3, 8, 0xFFFFFFFF):
                    for count in (0, 1, 70000, 0xFFFFFFFF):
                        domain.request(kind, address, 1 << 50, size if size < 9 else 8,
                                       count=count, flags=0x10)
        self.assertEqual(domain.read(RAM, 4096), before)
        self.assertEqual(domain.config_read(1 << 3, 0), 0x70008086)

    def test_clock_that_the_guest_sets(self):
        domain = self.domain(started=False)
        for key, value in ((f"/local/domain/{DOMAIN}/vm", "/vm/1"), ("/vm/1/rtc/timeoffset", "5")):
            os.makedirs(os.path.dirname(domain.path("xs") + key), exist_ok=True)
            with open(domain.path("xs") + key, "w", encoding="ascii") as file:
                file.write(value)
        domain.start()
        domain.request(TIME_OFFSET, 0, -7 & (1 << 64) - 1, 8, is_read=False)
        domain.wait_log("^write /vm/1/rtc/timeoffset -2$")
        # No sum of these, written at once or one by one, leaves the numbers that there are.
        for _ in range(3):
            domain.request(TIME_OFFSET, 0, (1 << 63) - 1, 8, is_read=False)
        domain.wait_log("^write /vm/1/rtc/timeoffset 922337203685477580[57]$")
        self.assertNotIn("timeoffset -9", domain.log())

    def test_writes_are_told_while_it_migrates(self):
        """Xen does not see what is written through our mappings, and would leave it behind."""
        domain = self.domain()
        domain.request(0, 0x80, RAM + 100, 1, count=16, flags=0x10)
        self.assertNotIn("modified", domain.log())
        domain.vm.qmp.execute("xen-set-global-dirty-log", enable=True)
        domain.request(0, 0x80, RAM + 4090, 1, count=16, flags=0x10)  # over a page's end
        told = re.findall(r"^modified (\w+) (\d+)$", domain.log(), re.M)
        pages = {int(first, 16) + i for first, count in told for i in range(int(count))}
        self.assertEqual(pages, {RAM >> 12, (RAM >> 12) + 1})
        domain.vm.qmp.execute("xen-set-global-dirty-log", enable=False)
        before = domain.log().count("modified")
        domain.request(0, 0x80, RAM, 1, count=16, flags=0x10)
        self.assertEqual(domain.log().count("modified"), before)

    def test_a_page_that_comes_later(self):
        """Ballooned out, read as ones; back again, and seen after Xen says so."""
        domain = self.domain()
        page = RAM >> 12
        with open(domain.path("frames"), "r+b") as file:
            file.seek(4 * page)
            file.write(bytes(4))
        domain.port_write(0x80, RAM, count=1, flags=0x10)
        self.assertEqual(domain.port_read(0x80), 0xFF)
        with open(domain.path("frames"), "r+b") as file:
            file.seek(4 * page)
            file.write((page + 1).to_bytes(4, "little"))
        domain.store(RAM, b"\x42")
        domain.request(INVALIDATE, 0, 0, 8, is_read=False)
        domain.port_write(0x80, RAM, count=1, flags=0x10)
        self.assertEqual(domain.port_read(0x80), 0x42)


class Passthrough(Xen):
    """What only the toolstack's side decides. (tests/unit/xen-passthrough.c has what Xen is asked for.)"""
    HOST, LIST = "0000:00:05.0", f"/local/domain/0/backend/pci/{DOMAIN}/0"

    def plug(self, domain):
        """device_add, as libxl does it; the function is a folder of files."""
        folder = os.path.join(domain.path("functions"), self.HOST)
        if not os.path.exists(folder):
            os.makedirs(folder)
            config = bytearray(256)
            struct.pack_into("<I", config, 0, 0x11E81234)
            config[6], config[0x34], config[0x40] = 0x10, 0x40, 5  # has MSI
            files = {"config": bytes(config), "irq": b"0\n", "resource0": bytes(PAGE),
                     "resource": f"0xfe000000 {0xfe000000 + PAGE - 1:#x} 0x40200\n".encode()}
            for name, data in files.items():
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
        domain.vm.qmp.execute("device_add", driver="xen-pci-passthrough", id="pci-pt-00_05.0",
                              hostaddr=self.HOST, addr="5",
                              **{"x-sysfs": domain.path("functions")})

    def ids(self, domain):
        return [d["qdev_id"] for d in domain.vm.qmp.execute("query-pci")[0]["devices"] if d["qdev_id"]]

    def test_taken_by_force(self):
        """xl pci-detach -f: it is not on the toolstack's list any more."""
        domain = self.domain()
        domain.port_read(0x80)  # it runs
        for _ in range(2):
            self.plug(domain)
            domain.put(self.LIST + "/dev-1", self.HOST)
            domain.put(self.LIST + "/state-1", "3")
            domain.fire(self.LIST)
            self.assertEqual(self.ids(domain), ["pci-pt-00_05.0"])
            self.assertEqual(domain.config_read(5 << 3, 0), 0x11E81234)
            domain.vm.qmp.execute("device_del", id="pci-pt-00_05.0")  # the guest says nothing
            domain.put(self.LIST + "/state-1", "5")
            domain.fire(self.LIST)
            event = domain.vm.qmp.wait_event("DEVICE_DELETED")
            self.assertEqual(event["data"]["device"], "pci-pt-00_05.0")
            self.assertEqual(self.ids(domain), [])
            domain.remove(self.LIST + "/dev-1")
            domain.remove(self.LIST + "/state-1")
            domain.fire(self.LIST)  # of one that has ended

    def test_taken_before_the_start(self):
        """A domain that has asked for nothing yet has seen nothing."""
        domain = self.domain()
        self.plug(domain)
        domain.vm.qmp.execute("device_del", id="pci-pt-00_05.0")
        domain.vm.qmp.wait_event("DEVICE_DELETED")


class Failures(Xen):
    OPTIONS = ("-device", "VGA,vgamem_mb=8", "-serial", "null")

    def test_each_call_at_the_start(self):
        """An error that names domain and cause, status 1, and nothing is left; or a warning."""
        # From the 40th on, ranges of addresses, one like another.
        for number in itertools.chain(range(1, 40), itertools.count(40, 5)):
            domain = Domain()
            domain.fail(number, errno.EPERM)
            result = run("-nodefaults", *domain.line(*self.OPTIONS), "-chardev", "stdio,id=m",
                         "-mon", "chardev=m,mode=control", env=domain.environment(),
                         stdin=b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
            log = domain.log()
            domain.close()
            with self.subTest(call=number):
                self.assertIn(result.returncode, (0, 1), result.stderr)
                if result.returncode or result.stderr:
                    self.assertRegex(result.stderr, rf"xen: domain {DOMAIN}: .*\(errno 1\)")
                made = re.search("^create\n(?!injected)", log, re.M)
                self.assertEqual(bool(made), "destroy\n" in log, log)
            if "injected" not in log:
                self.assertEqual(result.returncode, 0)
                break
        self.assertGreater(number, 25)

    def test_each_call_while_it_runs(self):
        """It goes on, and what the guest does next works."""
        domain = self.domain(*self.OPTIONS)
        vga = next(devfn for devfn, f in self.functions(domain).items() if f[2] == 0x0300)
        for number in itertools.count(1):
            domain.write("log", "".join(line + "\n" for line in domain.log().splitlines()
                                        if line.startswith("bind")))
            domain.fail(number, errno.ENOMEM)
            self.guest(domain, vga)
            injected = "injected" in domain.log()
            domain.fail(0, 0)
            self.guest(domain, vga)
            if not injected:
                break
        self.assertGreater(number, 5)
        self.assertEqual(domain.stored(STATE), "running")

    def guest(self, domain, vga):
        """Moves its frame buffer, shadows its BIOS, raises and lowers a line, uses memory."""
        domain.config_write(vga, 4, 0, 2)
        domain.config_write(vga, 0x10, 0xE0000000)
        domain.config_write(vga, 4, 3, 2)
        domain.config_write(vga, 0x10, 0xE8000000)
        for value in (0x11, 0x33):
            domain.config_write(0, 0x5A, value, 1)
        domain.port_write(0x3F9, 2)
        domain.port_write(0x3F9, 0)
        domain.request(INVALIDATE, 0, 0, 8, is_read=False)
        domain.port_write(0x80, RAM, count=4, flags=0x10)
        domain.vm.qmp.execute("stop")
        domain.vm.qmp.execute("cont")

    def test_domain_dies(self):
        domain = self.domain()
        domain.release()  # another one did
        domain.vm.qmp.execute("query-status")
        domain.write("gone", "")
        domain.release()
        self.assertEqual(domain.vm.wait(), 0)
        self.assertIn(f"domain {DOMAIN} is gone", domain.vm.stderr())
        self.assertIn("destroy", domain.log())

    def test_store_dies(self):
        """The domain can be served without it."""
        domain = self.domain()
        domain.write("no-store", "")
        domain.release()
        domain.vm.qmp.execute("stop")
        domain.vm.qmp.execute("cont")
        self.assertEqual(domain.config_read(1 << 3, 0), 0x70008086)
        self.assertIn("xenstore is gone", domain.vm.stderr())

    def test_events_die(self):
        domain = self.domain()
        domain.write("no-events", "")
        domain.notify(100)
        self.assertEqual(domain.vm.wait(), 1)
        self.assertRegex(domain.vm.stderr(), rf"domain {DOMAIN}: vcpu0: .*No such device.*errno 19")


class Saved(Xen):
    OPTIONS = ("-device", "VGA,vgamem_mb=8", "-drive", "driver=null-co,size=1M,if=ide,index=0",
               "-device", "e1000,id=nic0", "-usb", "-usbdevice", "tablet", "-serial", "null")

    def save(self, domain, name):
        domain.vm.qmp.execute("xen-save-devices-state", filename=domain.path(name))
        with open(domain.path(name), "rb") as file:
            return file.read()

    def test_goes_on_in_another_process(self):
        domain = self.domain(*self.OPTIONS)
        vga = next(devfn for devfn, f in self.functions(domain).items() if f[2] == 0x0300)
        domain.config_write(vga, 0x10, 0xE0000000)
        domain.config_write(vga, 4, 3, 2)
        domain.request(COPY, 0xA0000 + 0, 0x11223344, 4, is_read=False)
        for port, value in ((0x3FB, 0x83), (0x3F8, 3), (0x3FB, 3)):
            domain.port_write(port, value)
        identify(domain)
        domain.vm.qmp.execute("stop")
        first = self.save(domain, "first")
        self.assertLess(len(first), 256 << 10)  # dm_restrict's limit
        domain.stop()
        domain.new_server()
        qmp = domain.start("-S", *self.OPTIONS, "-incoming", "file:" + domain.path("first")).qmp
        while qmp.execute("query-status")["status"] == "inmigrate":
            pass
        self.assertEqual(differences(first, self.save(domain, "second")), [])
        qmp.execute("cont")
        self.assertEqual(domain.port_read(0x3FB), 3)
        self.assertEqual(domain.port_read(0x1F7), 0x58)  # ready, and its data wait
        self.assertEqual(domain.port_read(0x1F0, 2), 0x40)
        # What the guest had drawn is where it had the frame buffer.
        self.assertIn("relocate", domain.log())

    def test_without_its_frame_buffer(self):
        """Its pages can't be had any more: what is shown then is there, though it is not the guest's."""
        options = ("-device", "VGA,vgamem_mb=8,romfile=")
        domain = self.domain(*options)
        vga = next(devfn for devfn, f in self.functions(domain).items() if f[2] == 0x0300)
        domain.config_write(vga, 0x10, 0xE0000000)
        domain.config_write(vga, 4, 3, 2)
        domain.vm.qmp.execute("stop")
        self.save(domain, "first")
        domain.stop()
        domain.new_server()
        domain.write("no-replacing", "")
        qmp = domain.start("-S", *options, "-incoming", "file:" + domain.path("first")).qmp
        while qmp.execute("query-status")["status"] == "inmigrate":
            pass
        qmp.execute("cont")
        domain.request(COPY, 0xA0000, 0x11223344, 4, is_read=False)
        qmp.execute("screendump", filename=domain.path("screen.ppm"))
        self.assertIn("cannot map the pages of 'vga-memory'", domain.vm.stderr())

    def test_of_another_machine(self):
        domain = self.domain(*self.OPTIONS)
        domain.vm.qmp.execute("stop")
        self.save(domain, "first")
        domain.stop()
        domain.new_server()
        result = run("-nodefaults", *domain.line("-incoming", "file:" + domain.path("first")),
                     env=domain.environment())
        self.assertEqual(result.returncode, 1)
        self.assertIn("which this one does not have", result.stderr)

    def test_to_no_room(self):
        domain = self.domain(*self.OPTIONS)
        with self.assertRaisesRegex(QMPError, "No space left"):
            domain.vm.qmp.execute("xen-save-devices-state", filename="/dev/full")
        self.assertEqual(domain.vm.qmp.execute("query-status")["status"], "running")


if __name__ == "__main__":
    unittest.main()
