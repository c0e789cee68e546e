# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of the VGA over the test port, and a naive model of what it shows."""

# Registers as IBM's BIOS sets them: misc, sequencer, CRTC, graphics, attribute.
MODES = {
    0x03: ("67", "0300030002",
           "5f4f5082558 1bf1f004f0d0e000000009c8e8f281f96b9a3ff".replace(" ", ""),
           "0000000000100e00ff", "000102030405140738393a3b3c3d3e3f0c000f0800"),
    0x04: ("63", "0309030002", "2d2728902b80bf1f00c10000000000009c8e8f140096b9a2ff",
           "0000000000300f00ff", "0013151702040607101112131415161701000300 00".replace(" ", "")),
    0x12: ("e3", "03010f0006", "5f4f50825480 0b3e0040000000000000ea8cdf2800e704e3ff".replace(" ", ""),
           "0000000000000 50fff".replace(" ", ""), "000102030405140738393a3b3c3d3e3f01000f0000"),
    0x13: ("63", "03010f000e", "5f4f50825480bf1f0041000000000000 9c8e8f284096b9a3ff".replace(" ", ""),
           "000000000040050fff", "000102030405060708090a0b0c0d0e0f41000f0000"),
}
ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY = range(11)
FRAMEBUFFER = 0xE0000000
REGISTERS = 0xFEB00000


class VGA:
    """The adapter in slot 2."""

    def __init__(self, port, devfn=0x10):
        self.port = port
        assert port.pci_read(devfn, 0) == 0x11111234
        port.pci_write(devfn, 0x10, FRAMEBUFFER)
        port.pci_write(devfn, 0x18, REGISTERS)
        port.pci_write(devfn, 0x04, 3, 2)

    def indexed(self, base, index, value):
        self.port.outw(base, index | value << 8)

    def sequencer(self, index, value):
        self.indexed(0x3C4, index, value)

    def graphics(self, index, value):
        self.indexed(0x3CE, index, value)

    def crtc(self, index, value):
        self.indexed(0x3D4, index, value)

    def attribute(self, index, value):
        self.port.inb(0x3DA)
        self.port.outb(0x3C0, index)
        self.port.outb(0x3C0, value)
        self.port.outb(0x3C0, 0x20)

    def set_mode(self, number):
        misc, sequencer, crtc, graphics, attribute = (bytes.fromhex(t) for t in MODES[number])
        self.port.outb(0x3C2, misc[0])
        for index, value in enumerate(sequencer):
            self.sequencer(index, value)
        self.crtc(0x11, 0)
        for index, value in enumerate(crtc):
            self.crtc(index, value)
        for index, value in enumerate(graphics):
            self.graphics(index, value)
        for index, value in enumerate(attribute):
            self.attribute(index, value)
        self.port.outb(0x3C6, 0xFF)

    def set_palette(self, colors, first=0):
        """colors: (red, green, blue) of 6 bits each."""
        self.port.outb(0x3C8, first)
        for color in colors:
            for part in color:
                self.port.outb(0x3C9, part)

    def dispi(self, index, value=None):
        self.port.outw(0x1CE, index)
        if value is None:
            return self.port.inw(0x1CF)
        self.port.outw(0x1CF, value)
        return value

    def set_dispi(self, width, height, bpp, flags=0x41):
        self.dispi(ENABLE, 0)
        self.dispi(XRES, width)
        self.dispi(YRES, height)
        self.dispi(BPP, bpp)
        self.dispi(ENABLE, flags)
        self.port.inb(0x3DA)
        self.port.outb(0x3C0, 0x20)


def rgb(color):
    """What a DAC entry of 6 bits a part looks like."""
    return bytes(part << 2 | part >> 4 for part in color)


def read_ppm(path):
    """(width, height, rows of 3 bytes a pixel)"""
    with open(path, "rb") as file:
        data = file.read()
    magic, size, depth, pixels = data.split(b"\n", 3)
    width, height = map(int, size.split())
    assert magic == b"P6" and depth == b"255" and len(pixels) == 3 * width * height
    return width, height, [pixels[3 * width * y:3 * width * (y + 1)] for y in range(height)]


def draw_text(cells, columns, font, colors, lines=16, cursor=None, cursor_lines=(13, 14)):
    """Rows of a text screen of 9 dots. cells: (character, attribute); colors: 16 of 3 bytes."""
    rows = []
    for start in range(0, len(cells), columns):
        for line in range(lines):
            row = b""
            for place in range(start, start + columns):
                character, attribute = cells[place]
                bits = font[character][line] << 1
                if 0xC0 <= character <= 0xDF:
                    bits |= bits >> 1 & 1
                if place == cursor and cursor_lines[0] <= line <= cursor_lines[1]:
                    bits = 0x1FF
                front, back = colors[attribute & 15], colors[attribute >> 4 & 7]
                row += b"".join(front if bits >> (8 - dot) & 1 else back for dot in range(9))
            rows.append(row)
    return rows
