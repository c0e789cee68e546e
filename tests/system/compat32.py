# SPDX-License-Identifier: GPL-2.0-or-later
"""A 32-bit program on a 64-bit kernel: what it computes is what Python computes."""
import os
import subprocess
import tempfile
import unittest
import zlib

from duodm import ENGINE, Duodm
from kernels import kernel

# Without a C library, so that the compiler of the guest programs will do. TLS is what 32-bit
# programs use GS for.
PROGRAM = r"""
static unsigned char bytes[65536];
static int descriptor[4] = {-1, 0, 0xfffff, 0x51}; /* 32 bits, limit in pages, usable */
static int thread_local[4] = {0, 7, 0, 0};

static int call(int number, int a, int b, int c)
{
    int result;

    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static unsigned __attribute__((noinline)) crc(unsigned value, unsigned char byte)
{
    value ^= byte;
    for (int bit = 0; bit < 8; bit++) {
        value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
    }
    return value;
}

static unsigned __attribute__((noinline)) fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static void print(unsigned value)
{
    char text[9];

    for (int i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    }
    text[8] = '\n';
    call(4, 1, (int)text, 9);
}

void _start(void)
{
    unsigned value = ~0u, sum = 0;
    unsigned long long product = 1;

    descriptor[1] = (int)thread_local;
    call(243, (int)descriptor, 0, 0); /* set_thread_area */
    asm volatile("mov %0, %%gs" : : "r"(descriptor[0] * 8 + 3));
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(i * 7 >> 3);
    }
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        int local;

        value = crc(value, bytes[i]);
        product = product * 6364136223846793005ull + bytes[i];
        asm volatile("mov %%gs:4, %0" : "=r"(local));
        sum += local;
    }
    call(4, 1, (int)"<begin>\n", 8);
    print(~value);
    print(fibonacci(20));
    print(sum);
    print((unsigned)(product >> 32));
    call(88, 0xfee1dead, 672274793, 0x4321fedc); /* power off */
    for (;;) {
    }
}
"""


def expected():
    data = bytes((i * 7 >> 3) & 255 for i in range(65536))
    product = 1
    for byte in data:
        product = (product * 6364136223846793005 + byte) % 2**64
    return [zlib.crc32(data), 6765, 7 * 65536, product >> 32]


class Compatibility(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="duodm-test-32-")
        source = os.path.join(cls.folder.name, "init.c")
        cls.initrd = os.path.join(cls.folder.name, "initramfs")
        with open(source, "w", encoding="ascii") as file:
            file.write(PROGRAM)
        subprocess.run(["gcc", "-m32", "-std=gnu11", "-O1", "-ffreestanding", "-nostdlib", "-static",
                        "-fno-pic", "-no-pie", "-fno-stack-protector", "-mgeneral-regs-only", "-o",
                        os.path.join(cls.folder.name, "init"), source], check=True)
        with open(cls.initrd, "wb") as file:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], check=True,
                           cwd=cls.folder.name, input=b"init\n", stdout=file)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_program(self):
        with Duodm("-accel", ENGINE, "-m", "256", "-display", "none", "-no-reboot", "-kernel",
                   kernel("cloud"), "-initrd", self.initrd,
                   "-append", "console=ttyS0 quiet panic=-1", serial=True, timeout=240) as vm:
            shown = vm.serial.expect(rb"<begin>\r?\n(([0-9a-f]{8}\r?\n){4})").group(1).decode()
            self.assertEqual(vm.wait(), 0, vm.stderr())
        self.assertEqual([int(word, 16) for word in shown.split()], expected())
