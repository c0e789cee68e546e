# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk over the test port: each type of request, what is malformed, errors and their policies,
images of each kind, NBD servers that come and go."""
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

from duodm import SLOWER, Duodm, QMPError, run, suspend
from virtio import NEEDS_RESET, PCI, Device, LegacyPCI

Device.slower = SLOWER
IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = 0, 1, 2
F_RO, F_FLUSH, F_CONFIG_WCE, F_MQ, F_DISCARD, F_WRITE_ZEROES = 5, 9, 11, 12, 13, 14
SECTOR = 512


class Disk:
    """Requests on a queue of the device."""

    def __init__(self, vm, queue=0, kind=PCI, **start):
        self.vm = vm
        self.device = kind(vm.qtest, slot=5)
        self.device.start(**start)
        self.queue = self.device.queues[queue]

    def add(self, kind, sector=0, out=b"", wanted=0):
        header = struct.pack("<IIQ", kind, 0, sector)
        return self.queue.add([header] + ([out] if out else []), ([wanted] if wanted else []) + [1])

    def request(self, kind, sector=0, out=b"", wanted=0):
        """(status, data)"""
        self.add(kind, sector, out, wanted)
        self.queue.kick()
        return self.result()

    def result(self):
        _, _, parts = self.queue.wait()
        data = b"".join(parts)
        return data[-1], data[:-1]

    def read(self, sector, size):
        status, data = self.request(IN, sector, wanted=size)
        assert status == OK, status
        return data

    def write(self, sector, data):
        return self.request(OUT, sector, data)[0]

    def capacity(self):
        return struct.unpack("<Q", self.device.read_config(0, 8))[0]


def segment(sector, count, flags=0):
    return struct.pack("<QII", sector, count, flags)


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="duodm-blk-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.image = self.path("disk.img")
        with open(self.image, "wb") as file:
            file.write(random.Random(1).randbytes(1 << 20))

    def path(self, name):
        return os.path.join(self.folder, name)

    def content(self):
        with open(self.image, "rb") as file:
            return file.read()

    def start(self, drive="", device="", *more, image=None):
        return Duodm("-drive", f"file={image or self.image},if=none,id=d,format=raw{drive}",
                     "-device", f"virtio-blk-pci,addr=5,drive=d{device}", *more, qtest=True)


class Requests(Base):
    def test_configuration(self):
        with self.start(",discard=unmap", ",num-queues=3,logical_block_size=1024,"
                        "physical_block_size=4096,min_io_size=2048,opt_io_size=65536") as vm:
            disk = Disk(vm)
            self.assertEqual(disk.capacity(), 2048)
            config = disk.device.read_config(0, 60)
            self.assertEqual(struct.unpack_from("<I", config, 12)[0], 254)
            self.assertEqual(struct.unpack_from("<IBBHI", config, 20), (1024, 2, 0, 2, 64))
            self.assertEqual(config[32], 1)
            self.assertEqual(struct.unpack_from("<H", config, 34)[0], 3)
            self.assertEqual(disk.device.queue_count(), 3)
            for bit in (F_FLUSH, F_CONFIG_WCE, F_MQ, F_DISCARD, F_WRITE_ZEROES):
                self.assertTrue(disk.device.offered() >> bit & 1, bit)
            self.assertFalse(disk.device.offered() >> F_RO & 1)

    def test_read_write(self):
        for drive in ("", ",aio=threads", ",cache=none", ",cache=writethrough", ",cache=unsafe"):
            with self.subTest(drive=drive), self.start(drive) as vm:
                before = self.content()
                disk = Disk(vm)
                self.assertEqual(disk.read(3, 2048), before[3 * 512:3 * 512 + 2048])
                data = os.urandom(1536)
                self.assertEqual(disk.write(7, data), OK)
                self.assertEqual(disk.request(FLUSH), (OK, b""))
                self.assertEqual(disk.read(6, 2560), before[3072:3584] + data + before[5120:5632])
                self.assertEqual(self.content(), before[:3584] + data + before[5120:])

    def test_odd_layouts(self):
        """A header in pieces, data that share descriptors with header and status."""
        with self.start() as vm:
            disk = Disk(vm)
            data = os.urandom(1024)
            header = struct.pack("<IIQ", OUT, 0, 4)
            disk.queue.add([header[:3], header[3:11], header[11:] + data[:100], data[100:]], [1])
            disk.queue.kick()
            self.assertEqual(disk.result(), (OK, b""))
            disk.queue.add([struct.pack("<IIQ", IN, 0, 4)], [700, 325])
            disk.queue.kick()
            self.assertEqual(disk.result(), (OK, data))
            disk.queue.add([struct.pack("<IIQ", IN, 0, 4)], [1024 + 1], indirect=True)
            disk.queue.kick()
            self.assertEqual(disk.result(), (OK, data))

    def test_legacy(self):
        with self.start("", ",disable-legacy=off") as vm:
            disk = Disk(vm, kind=LegacyPCI)
            self.assertEqual(disk.read(5, 512), self.content()[2560:3072])
            self.assertEqual(disk.write(5, b"x" * 512), OK)
            self.assertEqual(self.content()[2560:3072], b"x" * 512)

    def test_get_id(self):
        for serial, seen in ((",serial=abc", b"abc" + bytes(17)), ("", bytes(20)),
                             (",serial=" + "x" * 20, b"x" * 20)):
            with self.subTest(serial=serial), self.start("", serial) as vm:
                self.assertEqual(Disk(vm).request(GET_ID, wanted=20), (OK, seen))

    def test_discard_and_zeroes(self):
        with self.start(",discard=unmap") as vm:
            disk = Disk(vm)
            self.assertEqual(disk.request(WRITE_ZEROES, out=segment(8, 8, 1)), (OK, b""))
            self.assertEqual(disk.request(WRITE_ZEROES, out=segment(1, 1)), (OK, b""))
            self.assertEqual(self.content()[4096:8192], bytes(4096))
            self.assertEqual(self.content()[512:1024], bytes(512))
            self.assertEqual(disk.request(DISCARD, out=segment(0, 2048)), (OK, b""))
            self.assertEqual(os.stat(self.image).st_blocks, 0)

    def test_what_is_refused(self):
        with self.start(",discard=unmap") as vm:
            before = self.content()
            disk = Disk(vm)
            refused = [
                (IN, 2048, b"", 512, IOERR), (IN, 2047, b"", 1024, IOERR),
                (IN, 1 << 63, b"", 512, IOERR), (IN, (1 << 64) - 1, b"", 512, IOERR),
                (IN, 0, b"", 100, IOERR), (OUT, 2048, bytes(512), 0, IOERR),
                (OUT, 0, bytes(513), 0, IOERR), (99, 0, b"", 512, UNSUPP),
                (DISCARD, 0, segment(2048, 1), 0, IOERR),
                (DISCARD, 0, segment(2047, 2), 0, IOERR),
                (DISCARD, 0, segment((1 << 64) - 1, 0xffffffff), 0, IOERR),
                (DISCARD, 0, segment(0, 1, 1), 0, UNSUPP),
                (DISCARD, 0, segment(0, 1) * 2, 0, UNSUPP), (DISCARD, 0, b"short", 0, UNSUPP),
                (WRITE_ZEROES, 0, segment(0, 1, 2), 0, UNSUPP),
                (WRITE_ZEROES, 0, segment(0, 0xffffffff), 0, IOERR),
            ]
            for kind, sector, out, wanted, status in refused:
                with self.subTest(kind=kind, sector=sector, out=out[:16]):
                    self.assertEqual(disk.request(kind, sector, out, wanted)[0], status)
            self.assertEqual(self.content(), before)
            self.assertEqual(disk.read(0, 512), before[:512])

    def test_what_breaks_the_device(self):
        with self.start() as vm:
            for out, ins in (([b"short"], [1]), ([], [1]), ([struct.pack("<IIQ", IN, 0, 0)], [])):
                disk = Disk(vm)
                disk.queue.add(out, ins)
                disk.queue.kick()
                with self.assertRaises(AssertionError):
                    disk.queue.wait()
                self.assertTrue(disk.device.status() & NEEDS_RESET)
            self.assertEqual(Disk(vm).read(0, 512), self.content()[:512])

    def test_read_only(self):
        with self.start(",readonly=on") as vm:
            disk = Disk(vm)
            self.assertTrue(disk.device.offered() >> F_RO & 1)
            self.assertEqual(disk.write(0, bytes(512)), IOERR)
            self.assertEqual(disk.read(0, 512), self.content()[:512])
            self.assertTrue(vm.qmp.execute("query-block")[0]["inserted"]["ro"])

    def test_queues_and_packed_rings(self):
        """Random reads and writes on 4 queues against a model; split, packed and indirect."""
        for features in (",packed=on", ""):
            rng = random.Random(7)
            model = bytearray(self.content())
            with self.subTest(features=features), self.start("", ",num-queues=4" + features) as vm:
                disk = Disk(vm)
                for _ in range(40):
                    disk.queue = rng.choice(disk.device.queues)
                    expected = {}
                    spans = rng.sample(range(0, 2048, 16), rng.randrange(1, 9))
                    for sector in spans:
                        count = rng.randrange(1, 17) * SECTOR
                        at = sector * SECTOR
                        if rng.random() < 0.5:
                            data = rng.randbytes(count)
                            expected[disk.add(OUT, sector, data)] = b""
                            model[at:at + count] = data
                        else:
                            expected[disk.add(IN, sector, wanted=count)] = bytes(model[at:at + count])
                    disk.queue.kick()
                    for _ in spans:
                        ident, _, parts = disk.queue.wait()
                        data = b"".join(parts)
                        self.assertEqual(data[-1], OK)
                        self.assertEqual(data[:-1], expected.pop(ident))
                stats = vm.qmp.execute("query-blockstats")[0]["stats"]
                self.assertGreater(stats["rd_operations"], 10)
                self.assertEqual(stats["failed_rd_operations"], 0)
            self.assertEqual(self.content(), bytes(model))

    def test_vectors(self):
        with self.start("", ",num-queues=2") as vm:
            disk = Disk(vm, queue=1, vectors=True)
            disk.add(IN, 0, wanted=512)
            disk.queue.kick()
            disk.device.wait_vector(2)
            self.assertEqual(disk.result(), (OK, self.content()[:512]))

    def test_write_cache(self):
        with self.start() as vm:
            disk = Disk(vm)
            disk.device.write_config(32, b"\0")
            self.assertEqual(disk.device.read_config(32, 1), b"\0")
            self.assertEqual(disk.write(0, b"a" * 512), OK)
            disk.device.write_config(32, b"\1")
            self.assertEqual(disk.write(0, b"b" * 512), OK)
            self.assertEqual(self.content()[:512], b"b" * 512)

    def test_reset_while_busy(self):
        with self.start() as vm:
            for _ in range(10):
                disk = Disk(vm)
                for sector in range(0, 320, 32):
                    disk.add(IN, sector, wanted=16384)
                disk.queue.kick()
                disk.device.reset()
            self.assertEqual(Disk(vm).read(0, 512), self.content()[:512])


class Images(Base):
    def test_resize(self):
        with self.start() as vm:
            disk = Disk(vm, vectors=True)
            generation = disk.device.generation()
            vm.qmp.execute("block_resize", device="d", size=(1 << 20) + 1024)
            disk.device.wait_vector(0)
            self.assertNotEqual(disk.device.generation(), generation)
            self.assertEqual(disk.capacity(), 2050)
            self.assertEqual(disk.write(2049, b"y" * 512), OK)
            self.assertEqual(len(self.content()), (1 << 20) + 1024)

    def test_blockdev_by_qmp(self):
        with self.start() as vm:
            with self.assertRaises(QMPError):
                vm.qmp.execute("blockdev-add", driver="file", node_name="n", filename="/nonexistent")
            vm.qmp.execute("blockdev-add", driver="null-co", node_name="n", size=4096)
            nodes = {node["node-name"]: node for node in vm.qmp.execute("query-named-block-nodes")}
            self.assertEqual(nodes["n"]["image"]["virtual-size"], 4096)
            vm.qmp.execute("blockdev-del", node_name="n")
            with self.assertRaises(QMPError):
                vm.qmp.execute("blockdev-del", node_name="n")

    def test_queries(self):
        with self.start(",cache=none", ",id=disk0") as vm:
            Disk(vm).read(0, 4096)
            block = vm.qmp.execute("query-block")[0]
            self.assertEqual((block["device"], block["qdev"], block["io-status"]),
                             ("d", "disk0", "ok"))
            self.assertEqual(block["inserted"]["cache"],
                             {"writeback": True, "direct": True, "no-flush": False})
            self.assertEqual(block["inserted"]["image"]["virtual-size"], 1 << 20)
            stats = vm.qmp.execute("query-blockstats")[0]
            self.assertEqual(stats["stats"]["rd_bytes"], 4096)
            self.assertIn(self.image, vm.qmp.human("info block"))
            self.assertIn("rd_bytes=4096", vm.qmp.human("info blockstats"))

    def test_window(self):
        with Duodm("-blockdev", f"driver=file,node-name=f,filename={self.image}",
                   "-blockdev", "driver=raw,node-name=w,file=f,offset=4096,size=8192",
                   "-device", "virtio-blk-pci,addr=5,drive=w", qtest=True) as vm:
            disk = Disk(vm)
            self.assertEqual(disk.capacity(), 16)
            self.assertEqual(disk.read(0, 8192), self.content()[4096:12288])
            self.assertEqual(disk.request(IN, 16, wanted=512)[0], IOERR)

    def test_drive_makes_a_device(self):
        with Duodm("-drive", f"file={self.image},if=virtio,format=raw", qtest=True) as vm:
            found = [f for f in vm.qmp.execute("query-pci")[0]["devices"]
                     if f["id"]["vendor"] == 0x1af4]
            self.assertEqual(len(found), 1)
            self.assertEqual(vm.qmp.execute("query-block")[0]["device"], "virtio0")

    def test_second_writer_is_refused(self):
        second = ("-accel", "qtest", "-nodefaults", "-drive",
                  f"file={self.image},if=none,id=d,format=raw%s", "-device",
                  "virtio-blk-pci,drive=d%s")

        def start(drive="", device=""):
            return run(*second[:4], second[4] % drive, second[5], second[6] % device)

        with self.start("", ",share-rw=off") as vm:
            result = start()
            self.assertEqual(result.returncode, 1)
            self.assertIn("in use by another process", result.stderr)
            self.assertEqual(start(",readonly=on").returncode, 1)
            del vm
        with self.start(",readonly=on") as vm:
            Disk(vm)
            with self.start(",readonly=on") as other:
                self.assertEqual(Disk(other).read(0, 512), self.content()[:512])
        with self.start("", ",share-rw=on"), self.start("", ",share-rw=on") as other:
            Disk(other)
        with self.start(",locking=off"), self.start() as other:
            Disk(other)

    def test_given_twice(self):
        """It is not another process that has it."""
        line = ("-accel", "qtest", "-nodefaults")
        linked = self.image + ".link"
        os.link(self.image, linked)
        self.addCleanup(os.unlink, linked)
        for one, other, text in (
                (("-hda", self.image), ("-hdb", linked),
                 "by -hda, drive 'ide0-hd0' and by -hdb, drive 'ide0-hd1'"),
                (("-hda", self.image), ("-drive", f"file={self.image},if=virtio,format=raw"),
                 "by -hda, drive 'ide0-hd0' and by -drive, drive 'virtio1'"),
                (("-drive", f"file={self.image},format=raw,read-only=on,if=virtio"),
                 ("-blockdev", f"file,node-name=n,filename={self.image}", "-device",
                  "virtio-blk-pci,drive=n"),
                 "by -blockdev, node 'n' and by -drive, drive 'virtio0'")):
            with self.subTest(other=other):
                result = run(*line, *one, *other)
                self.assertEqual(result.returncode, 1)
                self.assertIn(text, result.stderr)
                self.assertNotIn("process", result.stderr)

    @unittest.skipUnless(shutil.which("qemu-io"), "qemu-io is not installed")
    def test_qemu_tools_see_the_lock(self):
        with self.start():
            result = subprocess.run(["qemu-io", "-f", "raw", "-c", "read 0 512", self.image],
                                    capture_output=True, text=True, check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("lock", result.stderr)

    def test_bad_command_lines(self):
        qcow = self.path("x.qcow2")
        with open(qcow, "wb") as file:
            file.write(b"QFI\xfb" + bytes(508))
        base = ["-accel", "qtest", "-nodefaults"]
        good = ["-drive", f"file={self.image},if=none,id=d,format=raw"]
        bad = [
            (["-drive", f"file={self.image},if=scsi,format=raw"], "if=virtio"),
            (["-drive", f"file={qcow},if=none"], "qemu-nbd"),
            (["-drive", f"file={qcow},if=none,format=qcow2"], "qemu-nbd"),
            (["-drive", "file=/nonexistent/x,if=none,format=raw"], "/nonexistent/x"),
            (["-drive", f"file={self.folder},if=none,format=raw"], "irectory"),
            (["-drive", "if=virtio,id=x"], "file="),
            (["-drive", "if=none,id=x", "-device", "virtio-blk-pci,drive=x"], "only a CD"),
            (["-drive", f"file={self.image},if=none,discrad=unmap"], "'discard'"),
            (["-drive", f"file={self.image},if=none,werror=maybe"], "enospc"),
            ([*good, *good], "'d'"),
            (["-blockdev", "driver=file,filename=x"], "node-name"),
            (["-blockdev", "{"], "JSON"),
            (["-blockdev", "driver=nbd,node-name=n,server.type=unix,server.path=/nonexistent"],
             "/nonexistent"),
            (["-device", "virtio-blk-pci"], "drive"),
            (["-device", "virtio-blk-pci,drive=nobody"], "nobody"),
            ([*good, "-device", "virtio-blk-pci,drive=d", "-device", "virtio-blk-pci,drive=d"],
             "'d'"),
            ([*good, "-device", "virtio-blk-pci,drive=d,logical_block_size=1000"], "power"),
            ([*good, "-device", "virtio-blk-pci,drive=d,queue-size=100"], "queue-size"),
            ([*good, "-device", "virtio-blk-pci,drive=d,serial=" + "x" * 21], "serial"),
            ([*good, "-device", "virtio-blk-pci,drive=d,num-queues=65"], "num-queues"),
            ([*good, "-device", "virtio-blk-pci,drive=d,iothread=nobody"], "nobody"),
        ]
        for arguments, told in bad:
            with self.subTest(arguments=arguments[-1]):
                result = run(*base, *arguments)
                self.assertEqual(result.returncode, 1)
                self.assertIn(told, result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1, result.stderr)


class Server:
    """An NBD server on a unix socket in the test's folder."""

    def __init__(self, test, *command):
        self.socket = test.path("nbd.sock")
        self.command = [word.replace("@", self.socket) for word in command]
        self.process = None
        test.addCleanup(self.kill)

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@unittest.skipUnless(shutil.which("nbdkit"), "nbdkit is not installed")
class Errors(Base):
    """Errors on order: nbdkit's error filter, while a file exists."""

    def server(self, *errors):
        server = Server(self, "nbdkit", "-f", "-U", "@", "--filter=error", "memory", "1M", *errors,
                        "error-file=" + self.path("fail"), "error-rate=100%")
        server.start()
        return server

    def fail(self, on=True):
        if on:
            with open(self.path("fail"), "w", encoding="ascii"):
                pass
        else:
            os.unlink(self.path("fail"))

    def nbd(self, drive, errors):
        server = self.server(*errors)
        return self.start(drive + ",open-timeout=20", "", image=f"nbd:unix:{server.socket}")

    def test_report(self):
        with self.nbd(",werror=report,rerror=report", ["error=EIO"]) as vm:
            disk = Disk(vm)
            self.assertEqual(disk.write(0, b"z" * 512), OK)
            self.fail()
            self.assertEqual(disk.write(0, b"y" * 512), IOERR)
            event = vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]
            self.assertEqual((event["device"], event["operation"], event["action"],
                              event["nospace"]), ("d", "write", "report", False))
            self.assertEqual(disk.request(IN, 0, wanted=512)[0], IOERR)
            self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["operation"], "read")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "running")
            self.fail(False)
            self.assertEqual(disk.read(0, 512), b"z" * 512)

    def test_ignore(self):
        with self.nbd(",werror=ignore", ["error=EIO"]) as vm:
            disk = Disk(vm)
            self.fail()
            self.assertEqual(disk.write(0, b"y" * 512), OK)
            self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["action"], "ignore")

    def stop_and_go(self, drive, errors, status):
        with self.nbd(drive, errors) as vm:
            disk = Disk(vm)
            self.fail()
            for sector in range(5):
                disk.add(OUT, sector, bytes([sector]) * 512)
            disk.queue.kick()
            self.assertEqual(vm.qmp.wait_event("BLOCK_IO_ERROR")["data"]["action"], "stop")
            vm.qmp.wait_event("STOP")
            self.assertEqual(vm.qmp.execute("query-status")["status"], "io-error")
            self.assertEqual(vm.qmp.execute("query-block")[0]["io-status"], status)
            vm.qmp.events.clear()
            vm.qmp.execute("cont")  # still broken: it stops again
            vm.qmp.wait_event("STOP")
            self.assertIsNone(disk.queue.poll())
            self.fail(False)
            vm.qmp.execute("cont")
            for _ in range(5):
                self.assertEqual(disk.result(), (OK, b""))
            self.assertEqual(vm.qmp.execute("query-block")[0]["io-status"], "ok")
            self.assertEqual(disk.read(0, 2560), b"".join(bytes([n]) * 512 for n in range(5)))

    def test_stop(self):
        self.stop_and_go(",werror=stop", ["error=EIO"], "failed")

    def test_no_space_stops_by_itself(self):
        self.stop_and_go("", ["error=ENOSPC"], "nospace")

    def check_saved(self, packed):
        """Requests that wait for their disk wait on in saved state."""
        options, saved = ",werror=stop,open-timeout=20", self.path("saved")

        def start(*more):
            server = self.server("error=EIO")
            return self.start(options, f",packed={packed}", *more,
                              image=f"nbd:unix:{server.socket}")

        with start() as vm, start("-incoming", "defer") as other:
            disk = Disk(vm)
            self.assertEqual(disk.write(9, b"first" * 100 + bytes(12)), OK)
            self.fail()
            for sector in range(5):
                disk.add(OUT, sector, bytes([sector + 1]) * 512)
            disk.queue.kick()
            vm.qmp.wait_event("STOP")
            self.fail(False)
            vm.qmp.execute("migrate", uri="file:" + saved)
            while vm.qmp.execute("query-migrate")["status"] in ("setup", "active", "device"):
                pass
            self.assertEqual(vm.quit(), 0)
            other.qmp.execute("migrate-incoming", uri="file:" + saved)
            while other.qmp.execute("query-status")["status"] == "inmigrate":
                pass
            disk.device.move_to(other.qtest)
            self.assertIsNone(disk.queue.poll())
            other.qmp.execute("cont")
            for _ in range(5):
                self.assertEqual(disk.result(), (OK, b""))
            self.assertEqual(disk.read(0, 2560), b"".join(bytes([n + 1]) * 512 for n in range(5)))

    def test_saved_while_stopped(self):
        self.check_saved("off")

    def test_saved_while_stopped_packed(self):
        self.check_saved("on")

    def test_stopped_requests_end_with_a_reset(self):
        with self.nbd(",werror=stop", ["error=EIO"]) as vm:
            disk = Disk(vm)
            self.fail()
            disk.add(OUT, 0, b"q" * 512)
            disk.queue.kick()
            vm.qmp.wait_event("STOP")
            vm.qmp.execute("system_reset")
            vm.qmp.wait_event("RESET")
            self.fail(False)
            vm.qmp.execute("cont")
            self.assertEqual(Disk(vm).read(0, 512), bytes(512))

    def test_end_while_stopped(self):
        with self.nbd(",werror=stop", ["error=EIO"]) as vm:
            disk = Disk(vm)
            self.fail()
            disk.add(OUT, 0, b"q" * 512)
            disk.queue.kick()
            vm.qmp.wait_event("STOP")
            self.assertEqual(vm.quit(), 0)


class SilentServer(unittest.TestCase):
    def test_nobody_waits_for_ever(self):
        """It takes the connection, and never says what it has."""
        with socket.create_server(("127.0.0.1", 0)) as server, Duodm("-m", "8", qtest=True) as vm:
            with self.assertRaises(QMPError) as caught:
                vm.qmp.execute("blockdev-add", driver="nbd", node_name="n", open_timeout=1,
                               server={"type": "inet", "host": "127.0.0.1",
                                       "port": str(server.getsockname()[1])})
            self.assertIn("does not answer", caught.exception.description)
            self.assertEqual(vm.quit(), 0)


@unittest.skipUnless(shutil.which("qemu-nbd") and shutil.which("qemu-img"),
                     "qemu-utils is not installed")
class NBD(Base):
    def setUp(self):
        super().setUp()
        self.qcow = self.path("disk.qcow2")
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.image, self.qcow],
                       check=True, stdout=subprocess.DEVNULL)
        self.server = Server(self, "qemu-nbd", "-t", "-k", "@", "-f", "qcow2", "--discard=unmap",
                             "--cache=writeback", self.qcow)
        self.server.start()

    def nbd(self, drive=""):
        return self.start(",open-timeout=20" + drive, image=f"nbd:unix:{self.server.socket}")

    def test_qcow2(self):
        with self.nbd(",discard=unmap") as vm:
            disk = Disk(vm)
            self.assertEqual(disk.capacity(), 2048)
            self.assertEqual(disk.read(100, 65536), self.content()[51200:51200 + 65536])
            self.assertEqual(disk.write(10, b"n" * 4096), OK)
            self.assertEqual(disk.request(FLUSH)[0], OK)
            self.assertEqual(disk.request(WRITE_ZEROES, out=segment(12, 2, 1))[0], OK)
            self.assertEqual(disk.request(DISCARD, out=segment(1024, 128))[0], OK)
            self.assertEqual(disk.read(10, 4096), b"n" * 1024 + bytes(1024) + b"n" * 2048)
            self.assertEqual(vm.quit(), 0)
        self.server.process.terminate()
        self.server.process.wait()
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.qcow, self.image],
                       check=True)
        self.assertEqual(self.content()[5120:6144], b"n" * 1024)

    def test_uri_and_blockdev(self):
        uri = f"nbd+unix:///?socket={self.server.socket}"
        with Duodm("-blockdev", '{"driver": "nbd", "node-name": "n", "open-timeout": 20, "server": '
                   f'{{"type": "unix", "path": "{self.server.socket}"}}}}',
                   "-device", "virtio-blk-pci,addr=5,drive=n", qtest=True) as vm:
            self.assertEqual(Disk(vm).read(0, 512), self.content()[:512])
            self.assertEqual(vm.quit(), 0)
        with self.start(image=uri) as vm:
            self.assertEqual(Disk(vm).read(0, 512), self.content()[:512])
            self.assertEqual(vm.qmp.execute("query-block")[0]["inserted"]["file"], uri)

    def test_server_comes_back(self):
        """Requests wait for it; what it did not answer is sent again."""
        with self.nbd(",reconnect-delay=60") as vm:
            disk = Disk(vm)
            suspend(self.server.process)
            for sector in range(4):
                disk.add(IN, sector, wanted=512)
            disk.add(OUT, 9, b"w" * 512)
            disk.queue.kick()
            self.server.kill()
            disk.add(IN, 4, wanted=512)
            disk.queue.kick()
            self.server.start()
            seen = [disk.result() for _ in range(6)]
            self.assertEqual([status for status, _ in seen], [OK] * 6)
            self.assertEqual(disk.read(9, 512), b"w" * 512)
            self.assertIn("lost", vm.stderr())
            self.assertIn("connected again", vm.stderr())

    def test_server_stays_away(self):
        with self.nbd() as vm:
            disk = Disk(vm)
            self.server.kill()
            self.assertEqual(disk.request(IN, 0, wanted=512)[0], IOERR)
            self.server.start()
            status = IOERR
            while status != OK:  # each second it is looked for
                status = disk.request(IN, 0, wanted=512)[0]

    def test_stop_and_end_while_it_is_away(self):
        with self.nbd(",reconnect-delay=3600") as vm:
            disk = Disk(vm)
            self.server.kill()
            disk.add(IN, 0, wanted=512)
            disk.queue.kick()
            vm.qmp.execute("stop")
            self.assertIsNone(disk.queue.poll())
            vm.qmp.execute("cont")
            self.server.start()
            self.assertEqual(disk.result(), (OK, self.content()[:512]))
            self.server.kill()
            disk.add(IN, 0, wanted=512)
            disk.queue.kick()
            self.assertEqual(vm.quit(), 0)


if __name__ == "__main__":
    unittest.main()
