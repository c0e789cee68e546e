# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads text off a picture by comparing its cells with a font."""

BIOS = "/usr/share/seabios/vgabios-stdvga.bin"
# The second glyph of IBM's font, a face, by which it is found in the BIOS.
FACE = bytes.fromhex("00007e81a58181bd9981817e00000000")


def bios_font():
    """Glyph (16 bytes) -> character, of the 8x16 font in the VGA BIOS."""
    with open(BIOS, "rb") as file:
        rom = file.read()
    start = rom.index(FACE) - 16
    glyphs = {}
    for code in range(255, -1, -1):  # the lower of two that look alike
        glyphs[rom[start + 16 * code:start + 16 * code + 16]] = bytes([code]).decode("cp437")
    return glyphs


def read_cell(rows, x, y, background):
    """16 bytes: which of 8 dots in each line are not background."""
    return bytes(sum((rows[y + line][3 * (x + dot):3 * (x + dot) + 3] != background) << (7 - dot)
                     for dot in range(8)) for line in range(16))


def read_text(rows, font, width=9):
    """The lines of a screen of RGB rows; what is in no font is '?'."""
    lines = []
    for y in range(0, len(rows) - 15, 16):
        line = ""
        for x in range(0, len(rows[0]) // 3 - width + 1, width):
            background = rows[y][3 * x:3 * x + 3]
            line += font.get(read_cell(rows, x, y, background), "?")
        lines.append(line.replace("\0", " ").rstrip())
    return lines
