/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output and counting; for 32-bit and 64-bit programs. */
#include "guest.h"

unsigned checks, failures;
const char *check_case = "";
uint64_t check_number;

#define SERIAL 0x3f8

void print(const char *text)
{
    for (; *text; text++) {
        while (!(inb(SERIAL + 5) & 0x20)) {
        }
        outb(SERIAL, (uint8_t)*text);
    }
}

void print_hex(uint64_t value)
{
    char text[17];

    for (int i = 15; i >= 0; i--) {
        text[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    text[16] = 0;
    print(text);
}

const char *decimal(unsigned long value, char text[DECIMAL_SIZE])
{
    unsigned i = DECIMAL_SIZE - 1;

    text[i] = 0;
    do {
        text[--i] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return text + i;
}

void print_decimal(unsigned long value)
{
    char text[DECIMAL_SIZE];

    print(decimal(value, text));
}

void check_equal(const char *file, int line, const char *what, uint64_t got, uint64_t expected)
{
    checks++;
    if (got == expected) {
        return;
    }
    if (failures++ > 40) {
        return;
    }
    print(file);
    print(":");
    print_decimal((unsigned)line);
    print(": ");
    print(what);
    print(" is ");
    print_hex(got);
    print(", expected ");
    print_hex(expected);
    print(" (");
    print(check_case);
    print(" ");
    print_hex(check_number);
    print(")\n");
}

int guest_result(void)
{
    print_decimal(checks);
    print(" checks, ");
    print_decimal(failures);
    print(failures ? " failed\n" : " failed: PASS\n");
    return failures || !checks;
}

void guest_exit(int failed)
{
    outb(0xf4, failed ? 0x11 : 0x10);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

void *memcpy(void *to, const void *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        ((volatile char *)to)[i] = (char)value;
    }
    return to;
}
