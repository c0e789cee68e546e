/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller, as a driver uses it. */
#include "dm/input/i8042.h"
#include "unit/suite.h"

#include <string.h>

struct fixture {
    struct i8042 i8042;
    unsigned resets;
    bool lines[2];
    unsigned edges[2]; /* rising */
    bool a20;
};

static void on_irq(void *opaque, unsigned number, bool level)
{
    struct fixture *f = opaque;

    f->edges[number] += level && !f->lines[number];
    f->lines[number] = level;
}

static void on_a20(void *opaque, unsigned number, bool level)
{
    ((struct fixture *)opaque)->a20 = level;
}

static void on_reset(void *opaque)
{
    ((struct fixture *)opaque)->resets++;
}

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->i8042.irqs[0] = (struct irq_line){on_irq, f, 0};
    f->i8042.irqs[1] = (struct irq_line){on_irq, f, 1};
    f->i8042.a20 = (struct irq_line){on_a20, f, 0};
    f->i8042.pulse_reset = on_reset;
    f->i8042.opaque = f;
    i8042_power_on(&f->i8042);
}

static void command(struct fixture *f, uint8_t value)
{
    i8042_write_command(&f->i8042, value);
}

static void data(struct fixture *f, uint8_t value)
{
    i8042_write_data(&f->i8042, value);
}

/* The next byte; -1: none. 0x100 is added to one of the mouse. */
static int take(struct fixture *f)
{
    uint8_t status = i8042_read_status(&f->i8042);

    if (!(status & 1)) {
        return -1;
    }
    return i8042_read_data(&f->i8042) | (status & 0x20 ? 0x100 : 0);
}

static void test_self_test(void)
{
    struct fixture f;

    set_up(&f);
    CU_ASSERT_EQUAL(take(&f), -1);
    CU_ASSERT_EQUAL(i8042_read_status(&f.i8042) & 4, 0);
    command(&f, 0xaa);
    CU_ASSERT_EQUAL(take(&f), 0x55);
    CU_ASSERT_EQUAL(i8042_read_status(&f.i8042) & 4, 4);
    command(&f, 0xab);
    CU_ASSERT_EQUAL(take(&f), 0);
    command(&f, 0xa9);
    CU_ASSERT_EQUAL(take(&f), 0);
    CU_ASSERT_EQUAL(take(&f), -1);
}

static void test_command_byte(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0x60);
    data(&f, 0x47);
    command(&f, 0x20);
    CU_ASSERT_EQUAL(take(&f), 0x47);
    command(&f, 0xad);
    command(&f, 0x20);
    CU_ASSERT_EQUAL(take(&f), 0x57);
    command(&f, 0xa7);
    command(&f, 0x20);
    CU_ASSERT_EQUAL(take(&f), 0x77);
    command(&f, 0xae);
    command(&f, 0xa8);
    command(&f, 0x20);
    CU_ASSERT_EQUAL(take(&f), 0x47);
}

static void test_keyboard(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0x60);
    data(&f, 0x01); /* interrupt on, no translation */
    data(&f, 0xff);
    CU_ASSERT_TRUE(f.lines[0]);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    CU_ASSERT_EQUAL(take(&f), 0xaa);
    CU_ASSERT_EQUAL(take(&f), -1);
    CU_ASSERT_FALSE(f.lines[0]);
    CU_ASSERT_EQUAL(f.edges[0], 2);
    data(&f, 0xf2);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    CU_ASSERT_EQUAL(take(&f), 0xab);
    CU_ASSERT_EQUAL(take(&f), 0x83);
    data(&f, 0xed);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    data(&f, 0x07);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    CU_ASSERT_EQUAL(f.i8042.keyboard.leds, 7);
    data(&f, 0xee);
    CU_ASSERT_EQUAL(take(&f), 0xee);
    data(&f, 0x12);
    CU_ASSERT_EQUAL(take(&f), 0xfe);
}

static void test_scan_set_and_translation(void)
{
    struct fixture f;

    set_up(&f);
    data(&f, 0xf0);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    data(&f, 0);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    CU_ASSERT_EQUAL(take(&f), 0x41); /* 2, translated: it is on after power on */
    data(&f, 0xf0);
    take(&f);
    data(&f, 1);
    CU_ASSERT_EQUAL(take(&f), 0xfa);
    CU_ASSERT_EQUAL(f.i8042.keyboard.scan_set, 1);
}

static void mouse(struct fixture *f, uint8_t value)
{
    command(f, 0xd4);
    data(f, value);
}

static void test_mouse(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0x60);
    data(&f, 0x02);
    mouse(&f, 0xff);
    CU_ASSERT_TRUE(f.lines[1]);
    CU_ASSERT_FALSE(f.lines[0]);
    CU_ASSERT_EQUAL(take(&f), 0x1fa);
    CU_ASSERT_EQUAL(take(&f), 0x1aa);
    CU_ASSERT_EQUAL(take(&f), 0x100);
    mouse(&f, 0xf2);
    CU_ASSERT_EQUAL(take(&f), 0x1fa);
    CU_ASSERT_EQUAL(take(&f), 0x100);
    mouse(&f, 0xf3);
    CU_ASSERT_EQUAL(take(&f), 0x1fa);
    mouse(&f, 200);
    CU_ASSERT_EQUAL(take(&f), 0x1fa);
    mouse(&f, 0xe9);
    CU_ASSERT_EQUAL(take(&f), 0x1fa);
    CU_ASSERT_EQUAL(take(&f), 0x100);
    CU_ASSERT_EQUAL(take(&f), 0x102);
    CU_ASSERT_EQUAL(take(&f), 0x100 + 200);
    CU_ASSERT_EQUAL(take(&f), -1);
}

static void test_loop_back(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0xd3);
    data(&f, 0x5a);
    CU_ASSERT_EQUAL(take(&f), 0x15a);
    command(&f, 0xd2);
    data(&f, 0xa5);
    CU_ASSERT_EQUAL(take(&f), 0xa5);
}

static void test_output_port(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0xdd);
    command(&f, 0xd0);
    CU_ASSERT_EQUAL(take(&f) & 3, 1);
    command(&f, 0xd1);
    data(&f, 0x03);
    command(&f, 0xd0);
    CU_ASSERT_EQUAL(take(&f) & 3, 3);
    CU_ASSERT_EQUAL(f.resets, 0);
    command(&f, 0xfe);
    CU_ASSERT_EQUAL(f.resets, 1);
    command(&f, 0xff);
    CU_ASSERT_EQUAL(f.resets, 1);
    command(&f, 0xd1);
    data(&f, 0x02);
    CU_ASSERT_EQUAL(f.resets, 2);
}

static void test_random_writes(void)
{
    struct fixture f;
    g_autoptr(GRand) random = g_rand_new_with_seed(8042);

    set_up(&f);
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t value = (uint8_t)g_rand_int(random);

        switch (g_rand_int_range(random, 0, 3)) {
        case 0:
            command(&f, value);
            break;
        case 1:
            data(&f, value);
            break;
        default:
            take(&f);
        }
        CU_ASSERT_TRUE_FATAL(f.i8042.keyboard.count <= PS2_QUEUE_SIZE);
        CU_ASSERT_TRUE_FATAL(f.i8042.mouse.count <= PS2_QUEUE_SIZE);
    }
}

static void test_a20(void)
{
    struct fixture f;

    set_up(&f);
    CU_ASSERT_TRUE(f.a20); /* open at power-on */
    command(&f, 0xd1);
    data(&f, 0xdd);
    CU_ASSERT_FALSE(f.a20);
    command(&f, 0xd0);
    CU_ASSERT_EQUAL(take(&f) & 2, 0);
    command(&f, 0xd1);
    data(&f, 0xdf);
    CU_ASSERT_TRUE(f.a20);
    command(&f, 0xdd);
    CU_ASSERT_FALSE(f.a20);
    command(&f, 0xdf);
    CU_ASSERT_TRUE(f.a20);
    command(&f, 0xd0);
    CU_ASSERT_EQUAL(take(&f) & 2, 2);
    command(&f, 0xdd);
    i8042_power_on(&f.i8042);
    CU_ASSERT_TRUE(f.a20);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"self test", test_self_test},
        {"command byte", test_command_byte},
        {"keyboard", test_keyboard},
        {"scan set and translation", test_scan_set_and_translation},
        {"mouse", test_mouse},
        {"loop back", test_loop_back},
        {"output port", test_output_port},
        {"A20 gate", test_a20},
        {"random writes", test_random_writes},
        {NULL, NULL},
    };

    return unit_run("i8042", tests);
}
