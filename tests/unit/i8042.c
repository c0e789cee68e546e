/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller, as a driver uses it. */
#include "dm/input/i8042.h"
#include "unit/suite.h"
#include "unit/seed.h"

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
    g_autoptr(GRand) random = test_seeded_rand();

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

/* The user. */

static void key(struct fixture *f, const char *name, bool down)
{
    struct input_event event = {.kind = INPUT_KEY, .key = key_find_name(name), .down = down};

    CU_ASSERT_PTR_NOT_NULL_FATAL(event.key);
    i8042_keyboard_event(&f->i8042, &event);
}

static void button(struct fixture *f, enum input_button number, bool down)
{
    i8042_mouse_event(&f->i8042,
                      &(struct input_event){.kind = INPUT_BUTTON, .button = number, .down = down});
}

static void move(struct fixture *f, int x, int y)
{
    struct input_event event = {.kind = INPUT_RELATIVE, .axis = INPUT_X, .value = x};

    i8042_mouse_event(&f->i8042, &event);
    event.axis = INPUT_Y;
    event.value = y;
    i8042_mouse_event(&f->i8042, &event);
}

/* All bytes that wait are these, written in hexadecimal; those of the mouse count as any. */
static void expect(struct fixture *f, const char *text)
{
    g_autoptr(GString) got = g_string_new(NULL);

    for (int byte = take(f); byte >= 0; byte = take(f)) {
        g_string_append_printf(got, "%02x", byte & 0xff);
    }
    if (!g_str_equal(got->str, text)) {
        printf("got %s, not %s\n", got->str, text);
    }
    CU_ASSERT_STRING_EQUAL(got->str, text);
}

static void press(struct fixture *f, const char *name)
{
    key(f, name, true);
    key(f, name, false);
}

static void test_scan_codes(void)
{
    static const struct {
        uint8_t control, set;
        const char *a, *right, *print, *pause;
    } cases[] = {
        {0x40, 2, "1e9e", "e04de0cd", "e02ae037e0b7e0aa", "e11d45e19dc5"},
        {0x00, 2, "1cf01c", "e074e0f074", "e012e07ce0f07ce0f012", "e11477e1f014f077"},
        {0x00, 1, "1e9e", "e04de0cd", "e02ae037e0b7e0aa", "e11d45e19dc5"},
        {0x00, 3, "1c", "6a", "57", "62"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fixture f;

        set_up(&f);
        command(&f, 0x60);
        data(&f, cases[i].control);
        data(&f, 0xf0);
        data(&f, cases[i].set);
        while (take(&f) >= 0) {
        }
        press(&f, "a");
        expect(&f, cases[i].a);
        press(&f, "right");
        expect(&f, cases[i].right);
        press(&f, "print");
        expect(&f, cases[i].print);
        press(&f, "pause");
        expect(&f, cases[i].pause);
    }
}

static void test_scan_set_3_key_types(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0x60);
    data(&f, 0);
    data(&f, 0xf0);
    data(&f, 3);
    press(&f, "shift");
    expect(&f, "fafa12f012");
    data(&f, 0xfc); /* make and break, of the keys that follow */
    data(&f, 0x1c);
    data(&f, 0xf4);
    press(&f, "a");
    press(&f, "b");
    expect(&f, "fafa1cf01c32"); /* what the last command voided was in no buffer any more */
    data(&f, 0xfa);
    press(&f, "b");
    expect(&f, "fa32f032");
    data(&f, 0xf9);
    press(&f, "shift");
    expect(&f, "fa12");
}

static void test_disabled_keyboard_is_silent(void)
{
    struct fixture f;

    set_up(&f);
    data(&f, 0xf5);
    press(&f, "a");
    expect(&f, "fa");
    data(&f, 0xf4);
    command(&f, 0xad); /* its clock is held: it keeps what it has to say */
    press(&f, "a");
    expect(&f, "fa");
    command(&f, 0xae);
    expect(&f, "1e9e");
}

static void test_keyboard_overflow(void)
{
    struct fixture f;
    unsigned count = 0;

    set_up(&f);
    command(&f, 0xae);
    for (unsigned i = 0; i < 500; i++) {
        press(&f, "right");
    }
    /* Codes are there whole or not at all. */
    for (int byte = take(&f); byte >= 0; byte = take(&f), count++) {
        CU_ASSERT_EQUAL_FATAL(byte == 0xe0, count % 2 == 0);
    }
    CU_ASSERT_EQUAL(count % 2, 0);
    CU_ASSERT_TRUE(count > 100);
}

static void test_mouse_packets(void)
{
    struct fixture f;

    set_up(&f);
    command(&f, 0x60);
    data(&f, 0x02);
    move(&f, 5, 5); /* not enabled */
    i8042_mouse_sync(&f.i8042);
    expect(&f, "");
    mouse(&f, 0xf4);
    expect(&f, "fa");
    move(&f, 5, -3);
    i8042_mouse_sync(&f.i8042);
    expect(&f, "080503");
    move(&f, -300, 1);
    i8042_mouse_sync(&f.i8042);
    expect(&f, "3801ff18d300");
    button(&f, INPUT_MIDDLE, true);
    i8042_mouse_sync(&f.i8042);
    expect(&f, "0c0000");
    mouse(&f, 0xe9);
    expect(&f, "fa220264");
    mouse(&f, 0xe7);
    expect(&f, "fa");
    move(&f, 3, 10);
    i8042_mouse_sync(&f.i8042);
    expect(&f, "2c03ec");
    mouse(&f, 0xf0); /* remote: only when asked */
    expect(&f, "fa");
    button(&f, INPUT_MIDDLE, false);
    move(&f, 7, 0);
    i8042_mouse_sync(&f.i8042);
    expect(&f, "");
    mouse(&f, 0xeb);
    expect(&f, "fa080700");
}

static void test_mouse_with_wheel(void)
{
    static const uint8_t knocks[2][3] = {{200, 100, 80}, {200, 200, 80}};

    for (unsigned i = 0; i < 2; i++) {
        struct fixture f;

        set_up(&f);
        command(&f, 0x60);
        data(&f, 0x02);
        for (unsigned j = 0; j < 3; j++) {
            mouse(&f, 0xf3);
            mouse(&f, knocks[i][j]);
            expect(&f, "fafa");
        }
        mouse(&f, 0xf2);
        expect(&f, i ? "fa04" : "fa03");
        mouse(&f, 0xf4);
        expect(&f, "fa");
        button(&f, INPUT_WHEEL_DOWN, true);
        button(&f, INPUT_WHEEL_DOWN, false);
        i8042_mouse_sync(&f.i8042);
        expect(&f, "08000001");
        button(&f, INPUT_SIDE, true);
        i8042_mouse_sync(&f.i8042);
        expect(&f, i ? "08000010" : "08000000");
        mouse(&f, 0xff);
        expect(&f, "faaa00");
    }
}

static void test_keys_table(void)
{
    for (unsigned i = 0; i < key_count; i++) {
        const struct key *one = &key_table[i];
        bool needs_shift;

        CU_ASSERT_PTR_EQUAL(key_find_name(one->name), one);
        if (one->keysym) {
            CU_ASSERT_PTR_EQUAL(key_find_keysym(one->keysym, &needs_shift), one);
        }
        for (unsigned j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(one->set2, key_table[j].set2);
            CU_ASSERT_TRUE(!one->usage || one->usage != key_table[j].usage ||
                           g_str_equal(one->name, "menu"));
        }
    }
    CU_ASSERT_STRING_EQUAL(key_find_number(0x1e)->name, "a");
    CU_ASSERT_STRING_EQUAL(key_find_number(0xcd)->name, "right");
    CU_ASSERT_STRING_EQUAL(key_find_number(0x4d)->name, "kp_6");
    CU_ASSERT_PTR_NULL(key_find_number(0));
    CU_ASSERT_PTR_NULL(key_find_keysym(0, &(bool){false}));
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
        {"keys table", test_keys_table},
        {"scan codes", test_scan_codes},
        {"scan set 3 key types", test_scan_set_3_key_types},
        {"disabled keyboard", test_disabled_keyboard_is_silent},
        {"keyboard overflow", test_keyboard_overflow},
        {"mouse packets", test_mouse_packets},
        {"mouse with a wheel", test_mouse_with_wheel},
        {"random writes", test_random_writes},
        {NULL, NULL},
    };

    return unit_run("i8042", tests);
}
