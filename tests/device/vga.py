# SPDX-License-Identifier: GPL-2.0-or-later
"""The VGA, driven over the test port: what is drawn is what a screen dump shows, pixel for pixel."""

import random
import struct
import unittest
import zlib

from duodm import Duodm, QMPError, run
from vga import (BANK, BPP, ENABLE, FRAMEBUFFER, ID, MEMORY, REGISTERS, VIRT_HEIGHT, VIRT_WIDTH,
                 VGA, X_OFFSET, XRES, Y_OFFSET, YRES, draw_text, read_ppm, rgb)

WINDOW = 0xA0000


class VGATest(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(20261126)
        self.vm = self.enterContext(Duodm("-vga", "std", qtest=True, timeout=30))
        self.port = self.vm.qtest
        self.vga = VGA(self.port)

    def enterContext(self, context):  # of Python 3.11's unittest
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def dump(self):
        path = self.vm.path("screen.ppm")
        self.vm.qmp.execute("screendump", filename=path)
        return read_ppm(path)

    def check(self, width, height, rows):
        shown_width, shown_height, shown = self.dump()
        self.assertEqual((shown_width, shown_height), (width, height))
        for y, (expected, row) in enumerate(zip(rows, shown)):
            if expected != row:
                x = next(i for i in range(len(row)) if row[i] != expected[i]) // 3
                self.fail(f"pixel {x}, {y} is {row[3 * x:3 * x + 3].hex()}, not "
                          f"{expected[3 * x:3 * x + 3].hex()}")

    def random_palette(self, count=256):
        colors = [tuple(self.random.randrange(64) for _ in range(3)) for _ in range(count)]
        self.vga.set_palette(colors)
        return [rgb(color) for color in colors]


class Text(VGATest):
    def load_font(self):
        font = [bytes(self.random.randrange(256) for _ in range(16)) for _ in range(256)]
        self.vga.sequencer(2, 4)
        self.vga.sequencer(4, 6)
        self.vga.graphics(5, 0)
        self.vga.graphics(6, 4)
        self.port.write(WINDOW, b"".join(glyph + bytes(16) for glyph in font))
        self.vga.sequencer(2, 3)
        self.vga.sequencer(4, 2)
        self.vga.graphics(5, 0x10)
        self.vga.graphics(6, 0x0E)
        return font

    def test_80x25(self):
        self.vga.set_mode(3)
        palette = self.random_palette(64)
        colors = [palette[i] for i in (0, 1, 2, 3, 4, 5, 0x14, 7, *range(0x38, 0x40))]
        font = self.load_font()
        cells = [(self.random.randrange(256), self.random.randrange(256)) for _ in range(2000)]
        self.port.write(0xB8000, b"".join(bytes(cell) for cell in cells))
        self.assertEqual(self.port.read(0xB8000, 4), bytes(cells[0] + cells[1]))
        self.vga.crtc(0x0F, 85)
        self.vga.crtc(0x0A, 13)
        self.vga.crtc(0x0B, 14)
        self.check(720, 400, draw_text(cells, 80, font, colors, cursor=85))
        self.vga.crtc(0x0A, 0x20)
        self.check(720, 400, draw_text(cells, 80, font, colors))
        # Panned by a row: the start address is that of the second.
        self.vga.crtc(0x0D, 80)
        expected = draw_text(cells[80:], 80, font, colors)
        self.assertEqual(self.dump()[2][:384], expected)

    def test_blinking(self):
        self.vga.set_mode(3)
        colors = self.random_palette(64)
        self.load_font()
        self.port.write(0xB8000, b"\x01\x81" * 2000)
        self.vga.crtc(0x0A, 0x20)
        seen = {row for row in self.dump()[2]}
        self.assertEqual({row[i:i + 3] for row in seen for i in range(0, 2160, 3)},
                         {colors[0], colors[1]})
        self.port.clock_step(600_000_000)
        seen = {row for row in self.dump()[2]}
        self.assertEqual({row[i:i + 3] for row in seen for i in range(0, 2160, 3)}, {colors[0]})

    def test_off_is_black(self):
        self.vga.set_mode(3)
        self.random_palette(64)
        self.port.write(0xB8000, b"\x01\x1f" * 2000)
        self.port.inb(0x3DA)
        self.port.outb(0x3C0, 0)
        self.assertEqual(set(b"".join(self.dump()[2])), {0})


class Graphics(VGATest):
    def test_16_colors(self):
        self.vga.set_mode(0x12)
        palette = self.random_palette(64)
        colors = [palette[i] for i in (0, 1, 2, 3, 4, 5, 0x14, 7, *range(0x38, 0x40))]
        picture = [[self.random.randrange(16) for _ in range(640)] for _ in range(48)]
        for plane in range(4):
            self.vga.sequencer(2, 1 << plane)
            data = bytes(sum((row[8 * i + bit] >> plane & 1) << (7 - bit) for bit in range(8))
                         for row in picture for i in range(80))
            self.port.write(WINDOW, data)
            self.vga.graphics(4, plane)
            self.assertEqual(self.port.read(WINDOW, 160), data[:160])
        rows = [b"".join(colors[pixel] for pixel in row) for row in picture]
        rows += [colors[0] * 640] * (480 - len(rows))
        self.check(640, 480, rows)
        # Read mode 1 finds the pixels of a colour.
        self.vga.graphics(5, 8)
        self.vga.graphics(2, 5)
        self.vga.graphics(7, 15)
        expected = bytes(sum((picture[0][8 * i + bit] == 5) << (7 - bit) for bit in range(8))
                         for i in range(80))
        self.assertEqual(self.port.read(WINDOW, 80), expected)
        # Write mode 2 with a bit mask: pixels 3 to 5 of the first byte get colour 9.
        self.vga.sequencer(2, 15)
        self.vga.graphics(5, 2)
        self.vga.graphics(8, 0x1C)
        self.port.readb(WINDOW)
        self.port.writeb(WINDOW, 9)
        picture[0][3:6] = [9, 9, 9]
        # Write mode 1 copies all planes: the first row to row 50.
        self.vga.graphics(5, 1)
        for i in range(80):
            self.port.readb(WINDOW + i)
            self.port.writeb(WINDOW + 50 * 80 + i, 0)
        rows[0] = rows[50] = b"".join(colors[pixel] for pixel in picture[0])
        # Set/reset with XOR on row 51.
        self.vga.graphics(5, 0)
        self.vga.graphics(0, 6)
        self.vga.graphics(1, 15)
        self.vga.graphics(3, 0x18)
        self.vga.graphics(8, 0xFF)
        for i in range(80):
            self.port.readb(WINDOW + 51 * 80 + i)
            self.port.writeb(WINDOW + 51 * 80 + i, 0)
        rows[51] = colors[6] * 640
        self.check(640, 480, rows)

    def test_split_screen_and_panning(self):
        self.vga.set_mode(0x12)
        palette = self.random_palette(64)
        self.vga.sequencer(2, 1)
        self.port.write(WINDOW, b"\xf0" * 80)
        self.port.write(WINDOW + 80, b"\x00" * 80 * 99)
        # Show from row 10 on, and row 0 again from scan line 100 on; moved left by two pixels.
        self.vga.crtc(0x0C, 800 >> 8)
        self.vga.crtc(0x0D, 800 & 255)
        self.vga.crtc(0x07, 0x2E)
        self.vga.crtc(0x18, 99)
        self.vga.crtc(0x09, 0x00)
        self.vga.attribute(0x13, 2)
        rows = [palette[0] * 640] * 480
        rows[100] = (palette[1] * 4 + palette[0] * 4) * 81
        rows[100] = rows[100][6:6 + 1920]
        # The byte past row 0 is the first of row 1, which is zero.
        rows[100] = rows[100][:3 * 638] + palette[0] * 2
        self.check(640, 480, rows)

    def test_cga(self):
        self.vga.set_mode(4)
        palette = self.random_palette(64)
        data = bytes(self.random.randrange(256) for _ in range(16384))
        self.port.write(0xB8000, data)
        colors = [palette[i] for i in (0, 0x13, 0x15, 0x17)]
        rows = []
        for y in range(200):
            start = (y % 2) * 8192 + y // 2 * 80
            rows.append(b"".join(colors[byte >> shift & 3] for byte in data[start:start + 80]
                                 for shift in (6, 4, 2, 0)))
        self.check(320, 200, rows)

    def test_256_colors(self):
        self.vga.set_mode(0x13)
        palette = self.random_palette()
        data = bytes(self.random.randrange(256) for _ in range(64000))
        self.port.write(WINDOW, data)
        self.assertEqual(self.port.read(WINDOW + 1000, 3000), data[1000:4000])
        self.check(320, 200, [b"".join(palette[b] for b in data[320 * y:320 * y + 320])
                              for y in range(200)])

    def test_unchained(self):
        """Mode X: a pixel in four is a byte of a plane."""
        self.vga.set_mode(0x13)
        palette = self.random_palette()
        self.vga.sequencer(4, 6)
        self.vga.crtc(0x14, 0)
        self.vga.crtc(0x17, 0xE3)
        data = bytes(self.random.randrange(256) for _ in range(64000))
        for plane in range(4):
            self.vga.sequencer(2, 1 << plane)
            self.port.write(WINDOW, data[plane::4])
        rows = [b"".join(palette[b] for b in data[320 * y:320 * y + 320]) for y in range(200)]
        self.check(320, 200, rows)
        self.vga.crtc(0x0D, 80)  # a row further
        self.assertEqual(self.dump()[2][:199], rows[1:])


class Dispi(VGATest):
    def test_registers(self):
        vga = self.vga
        self.assertEqual(vga.dispi(ID), 0xB0C5)
        vga.dispi(ID, 0xB0C2)
        self.assertEqual(vga.dispi(ID), 0xB0C2)
        vga.dispi(ID, 0x1234)
        self.assertEqual(vga.dispi(ID), 0xB0C2)
        self.assertEqual(vga.dispi(MEMORY), 256)
        vga.dispi(ENABLE, 2)
        self.assertEqual([vga.dispi(i) for i in (XRES, YRES, BPP)], [8192, 8192, 32])
        vga.set_dispi(1024, 768, 32)
        self.assertEqual(vga.dispi(VIRT_WIDTH), 1024)
        self.assertEqual(vga.dispi(VIRT_HEIGHT), 4096)
        vga.dispi(XRES, 640)  # not while it is on
        self.assertEqual(vga.dispi(XRES), 1024)
        vga.dispi(VIRT_WIDTH, 2048)
        self.assertEqual(vga.dispi(VIRT_HEIGHT), 2048)
        vga.dispi(Y_OFFSET, 2000)
        self.assertEqual(vga.dispi(Y_OFFSET), 0)
        vga.dispi(Y_OFFSET, 1280)
        self.assertEqual(vga.dispi(Y_OFFSET), 1280)
        vga.set_dispi(8192, 8192, 32)  # that does not fit
        self.assertEqual(vga.dispi(ENABLE) & 1, 0)

    def convert(self, bpp, pixel, palette):
        if bpp == 8:
            return palette[pixel]
        if bpp in (15, 16):
            green_bits = 5 if bpp == 15 else 6
            parts = ((pixel >> 5 + green_bits & 31, 5), (pixel >> 5 & (1 << green_bits) - 1, green_bits),
                     (pixel & 31, 5))
            return bytes(v << 8 - n | v >> 2 * n - 8 for v, n in parts)
        return bytes((pixel >> 16 & 255, pixel >> 8 & 255, pixel & 255))

    def test_depths(self):
        palette = self.random_palette()
        for bpp in (8, 15, 16, 24, 32):
            with self.subTest(bpp=bpp):
                size = (bpp + 7) // 8
                self.vga.set_dispi(320, 200, bpp)
                self.vga.dispi(VIRT_WIDTH, 400)
                pixels = [[self.random.randrange(1 << bpp) for _ in range(400)] for _ in range(220)]
                data = b"".join(p.to_bytes(size, "little") for row in pixels for p in row)
                for start in range(0, len(data), 60000):
                    self.port.write(FRAMEBUFFER + start, data[start:start + 60000])
                for x, y in ((0, 0), (33, 20)):
                    self.vga.dispi(X_OFFSET, x)
                    self.vga.dispi(Y_OFFSET, y)
                    self.check(320, 200, [b"".join(self.convert(bpp, p, palette)
                                                   for p in row[x:x + 320])
                                          for row in pixels[y:y + 200]])

    def test_16_colors(self):
        self.vga.set_mode(0x12)
        palette = self.random_palette(64)
        self.vga.set_dispi(800, 600, 4)
        self.vga.sequencer(2, 5)
        self.port.write(WINDOW, b"\xff" * 100)
        self.check(800, 600, [palette[5] * 800] + [palette[0] * 800] * 599)

    def test_banks(self):
        """The window at A0000h is any 64 KiB of the linear memory."""
        self.vga.set_dispi(640, 480, 32)
        self.port.write(WINDOW, b"one ")
        self.vga.dispi(BANK, 3)
        self.port.write(WINDOW, b"four")
        self.assertEqual(self.port.read(FRAMEBUFFER, 4), b"one ")
        self.assertEqual(self.port.read(FRAMEBUFFER + 0x30000, 4), b"four")
        self.vga.dispi(BANK, 256)  # there is none
        self.assertEqual(self.vga.dispi(BANK), 3)
        self.vga.dispi(ENABLE, 0)
        self.assertNotEqual(self.port.read(WINDOW, 4), b"four")

    def test_clears_memory(self):
        self.port.write(FRAMEBUFFER, b"\xaa" * 4096)
        self.vga.set_dispi(640, 480, 8, 0xC1)
        self.assertEqual(self.port.readl(FRAMEBUFFER), 0xAAAAAAAA)
        self.vga.set_dispi(640, 480, 8)
        self.assertEqual(self.port.readl(FRAMEBUFFER), 0)

    def test_8_bit_dac(self):
        self.vga.set_palette([(63, 1, 32)])
        self.vga.set_dispi(320, 200, 8, 0x61)
        self.port.outb(0x3C7, 0)
        self.assertEqual([self.port.inb(0x3C9) for _ in range(3)], [252, 4, 128])
        self.vga.set_palette([(255, 1, 129)])
        self.assertEqual(self.dump()[2][0][:3], bytes((255, 1, 129)))

    def test_memory_mapped_registers(self):
        edid = self.port.read(REGISTERS, 128)
        self.assertEqual(edid[:8], bytes((0, 255, 255, 255, 255, 255, 255, 0)))
        self.assertEqual(sum(edid) % 256, 0)
        self.assertEqual((edid[56] | edid[58] >> 4 << 8, edid[59] | edid[61] >> 4 << 8), (1024, 768))
        self.assertEqual(self.port.readw(REGISTERS + 0x500), 0xB0C5)
        for index, value in ((XRES, 640), (YRES, 400), (BPP, 32), (ENABLE, 0x41)):
            self.port.writew(REGISTERS + 0x500 + 2 * index, value)
        self.assertEqual(self.port.readl(REGISTERS + 0x504), 400 | 32 << 16)
        self.port.writeb(REGISTERS + 0x400, 0x20)  # port 3c0h: the picture is on
        self.port.writel(FRAMEBUFFER, 0x112233)
        self.assertEqual(self.dump()[2][0][:3], b"\x11\x22\x33")
        self.assertEqual(self.port.readl(REGISTERS + 0x600), 8)
        self.assertEqual(self.port.readl(REGISTERS + 0x604), 0x1E1E1E1E)
        self.port.writel(REGISTERS + 0x604, 0xBEBEBEBE)
        self.assertEqual(self.dump()[2][0][:3], b"\x22\x11\x00")

    def test_png(self):
        self.vga.set_dispi(320, 200, 32)
        self.port.writel(FRAMEBUFFER + 4, 0xABCDEF)
        path = self.vm.path("screen.png")
        self.vm.qmp.execute("screendump", filename=path, format="png")
        with open(path, "rb") as file:
            data = file.read()
        chunks, at = {}, 8
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            body = data[at + 8:at + 8 + length]
            self.assertEqual(zlib.crc32(kind + body), struct.unpack(">I", data[at + 8 + length:
                                                                               at + 12 + length])[0])
            chunks[kind] = body
            at += 12 + length
        self.assertEqual(chunks[b"IHDR"], struct.pack(">IIBBBBB", 320, 200, 8, 2, 0, 0, 0))
        pixels = zlib.decompress(chunks[b"IDAT"])
        self.assertEqual(pixels[:7], b"\0\0\0\0\xab\xcd\xef")
        self.assertEqual(len(pixels), 200 * 961)
        with self.assertRaisesRegex(QMPError, "ppm or png"):
            self.vm.qmp.execute("screendump", filename=path, format="gif")


class Device(VGATest):
    def test_rom(self):
        port = self.port
        self.assertEqual(port.pci_read(0x10, 0x08), 0x03000002)
        port.pci_write(0x10, 0x30, 0xFFFFFFFF)
        self.assertEqual(port.pci_read(0x10, 0x30), 0xFFFF0001)
        port.pci_write(0x10, 0x30, 0xFEB10000)
        self.assertEqual(port.readw(0xFEB10000), 0xFFFF)
        port.pci_write(0x10, 0x30, 0xFEB10001)
        self.assertEqual(port.readw(0xFEB10000), 0xAA55)
        port.writew(0xFEB10000, 0)
        self.assertEqual(port.readw(0xFEB10000), 0xAA55)
        with open("/usr/share/seabios/vgabios-stdvga.bin", "rb") as file:
            rom = file.read()
        self.assertEqual(port.read(0xFEB10000, len(rom)), rom)
        port.pci_write(0x10, 0x04, 0, 2)
        self.assertEqual(port.readw(0xFEB10000), 0xFFFF)

    def test_reset(self):
        self.vga.set_dispi(640, 480, 32)
        self.port.writel(WINDOW, 0x12345678)
        self.vm.qmp.execute("system_reset")
        self.vm.qmp.wait_event("RESET")
        self.assertEqual(self.vga.dispi(ENABLE), 0)
        width, height, rows = self.dump()
        self.assertEqual((width, height, set(b"".join(rows))), (640, 480, {0}))

    def test_hostile(self):
        """Random registers and memory, with dumps between: nothing happens but pictures."""
        for _ in range(40):
            for _ in range(60):
                where = self.random.choice((0x3C0, 0x3C2, 0x3C4, 0x3C5, 0x3CE, 0x3CF, 0x3D4, 0x3D5,
                                            0x3D5, 0x3C6, 0x3C8, 0x3C9))
                self.port.outb(where, self.random.randrange(256))
            self.vga.dispi(ENABLE, 0)
            self.vga.dispi(self.random.choice((XRES, YRES)), self.random.randrange(2000))
            self.vga.dispi(BPP, self.random.choice((4, 8, 15, 16, 24, 32, 5)))
            for index in self.random.sample(range(4, 10), 5):
                self.vga.dispi(index, self.random.randrange(65536) & self.random.choice((255, 65535)))
            self.port.write(WINDOW + self.random.randrange(0x1FF00), self.random.randbytes(200))
            self.port.read(WINDOW + self.random.randrange(0x1FF00), 200)
            self.dump()


class Hotplug(unittest.TestCase):
    def test_refused(self):
        """Somebody may be looking at it."""
        with Duodm("-device", "VGA,id=v", "-vnc", "unix:@/vnc", qtest=True) as vm:
            for command, arguments in (("device_del", {"id": "v"}), ("device_add", {"driver": "VGA"})):
                with self.assertRaisesRegex(QMPError, "plugged"):
                    vm.qmp.execute(command, **arguments)


class CommandLine(unittest.TestCase):
    def test_adapters(self):
        with Duodm("-device", "VGA,vgamem_mb=9,romfile=", qtest=True) as vm:
            self.assertEqual(VGA(vm.qtest).dispi(MEMORY), 256)
        with Duodm("-device", "cirrus-vga,vgamem_mb=8", qtest=True) as vm:
            self.assertEqual(VGA(vm.qtest).dispi(MEMORY), 128)
            self.assertEqual(vm.stderr().count("warning"), 1)
        with Duodm(qtest=True) as vm:
            self.assertEqual(vm.qtest.pci_read(0x10, 0), 0xFFFFFFFF)
            with self.assertRaisesRegex(QMPError, "-vga std"):
                vm.qmp.execute("screendump", filename=vm.path("x"))

    def test_refused(self):
        for options, message in ((("-vga", "qxl"), "qxl"), (("-display", "gtk"), "-vnc"),
                                 (("-M", "microvm", "-device", "VGA"), "bus"),
                                 (("-device", "VGA,romfile=/nowhere"), "/nowhere"),
                                 (("-device", "VGA,romfile=/etc/passwd"), "option ROM"),
                                 (("-device", "VGA,vgamem_mb=512"), "0x100")):
            result = run("-accel", "qtest", *options)
            self.assertEqual(result.returncode, 1, options)
            self.assertIn(message, result.stderr)
