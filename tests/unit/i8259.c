/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two 8259A: dm/intc/i8259.h. */
#include "dm/intc/i8259.h"
#include "unit/fixture.h"
#include "unit/seed.h"

#define MASTER 0x20
#define SLAVE  0xa0

static struct i8259_pair *pic_of(struct fixture *f)
{
    return f->machine->pic;
}

static void initialise(struct fixture *f, unsigned port, unsigned base, unsigned icw3,
                       unsigned icw4)
{
    out8(f, port, 0x11);
    out8(f, port + 1, base);
    out8(f, port + 1, icw3);
    out8(f, port + 1, icw4);
}

static struct fixture *pic_fixture(unsigned icw4)
{
    struct fixture *f = fixture_new(1);

    fixture_add(f, "i8259", NULL, NULL);
    initialise(f, MASTER, 0x20, 4, icw4);
    initialise(f, SLAVE, 0x28, 2, icw4);
    return f;
}

static void raise_line(struct fixture *f, unsigned irq)
{
    i8259_set_input(pic_of(f), irq, true);
}

static void lower_line(struct fixture *f, unsigned irq)
{
    i8259_set_input(pic_of(f), irq, false);
}

static uint8_t read_irr(struct fixture *f, unsigned port)
{
    out8(f, port, 0x0a);
    return in8(f, port);
}

static uint8_t read_isr(struct fixture *f, unsigned port)
{
    out8(f, port, 0x0b);
    return in8(f, port);
}

static void test_nested(void)
{
    struct fixture *f = pic_fixture(1);

    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    raise_line(f, 4);
    CU_ASSERT_TRUE(i8259_has_interrupt(pic_of(f)));
    CU_ASSERT_EQUAL(read_irr(f, MASTER), 0x10);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x24);
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0x10);
    CU_ASSERT_EQUAL(read_irr(f, MASTER), 0x00);
    raise_line(f, 6); /* lower priority waits */
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    raise_line(f, 1); /* higher interrupts */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x21);
    out8(f, MASTER, 0x20); /* ends 1 */
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0x10);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    out8(f, MASTER, 0x64); /* ends 4, by name */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x26);
    fixture_free(f);
}

static void test_mask(void)
{
    struct fixture *f = pic_fixture(1);

    out8(f, MASTER + 1, 0x10);
    CU_ASSERT_EQUAL(in8(f, MASTER + 1), 0x10);
    raise_line(f, 4);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    CU_ASSERT_EQUAL(read_irr(f, MASTER), 0x10);
    out8(f, MASTER + 1, 0);
    CU_ASSERT_TRUE(i8259_has_interrupt(pic_of(f)));
    fixture_free(f);
}

static void test_edge_comes_once(void)
{
    struct fixture *f = pic_fixture(1);

    raise_line(f, 3);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x23);
    out8(f, MASTER, 0x20);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f))); /* the line is still high */
    lower_line(f, 3);
    raise_line(f, 3);
    lower_line(f, 3); /* a pulse counts */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x23);
    fixture_free(f);
}

static void test_level_comes_again(void)
{
    struct fixture *f = pic_fixture(1);

    out8(f, 0x4d0, 0xff);
    CU_ASSERT_EQUAL(in8(f, 0x4d0), 0xf8); /* 0, 1 and 2 stay edge-triggered */
    out8(f, 0x4d1, 0xff);
    CU_ASSERT_EQUAL(in8(f, 0x4d1), 0xde);
    raise_line(f, 11);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x2b);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    out8(f, SLAVE, 0x20);
    out8(f, MASTER, 0x20);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x2b); /* EOI while the line is high */
    lower_line(f, 11);
    out8(f, SLAVE, 0x20);
    out8(f, MASTER, 0x20);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    fixture_free(f);
}

static void test_spurious(void)
{
    struct fixture *f = pic_fixture(1);

    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x27);
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0); /* not in service */
    out8(f, 0x4d0, 0x20);
    raise_line(f, 5);
    lower_line(f, 5); /* went away before INTA */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x27);
    out8(f, 0x4d1, 0x02);
    raise_line(f, 9);
    lower_line(f, 9); /* the slave takes its request back from the master */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x27);
    CU_ASSERT_EQUAL(read_isr(f, SLAVE), 0);
    fixture_free(f);
}

static void test_cascade(void)
{
    struct fixture *f = pic_fixture(1);

    raise_line(f, 12);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x2c);
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0x04);
    CU_ASSERT_EQUAL(read_isr(f, SLAVE), 0x10);
    raise_line(f, 8); /* higher on the slave, but the master is busy with the slave */
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    out8(f, MASTER, 0x20);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x28);
    out8(f, SLAVE, 0x20);
    out8(f, SLAVE, 0x20);
    out8(f, MASTER, 0x20);
    CU_ASSERT_EQUAL(read_isr(f, SLAVE), 0);
    raise_line(f, 14);
    out8(f, SLAVE + 1, 0xff); /* masked on the slave: its INT falls */
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    fixture_free(f);
}

static void test_special_fully_nested(void)
{
    struct fixture *f = pic_fixture(1);

    initialise(f, MASTER, 0x20, 4, 0x11);
    raise_line(f, 12);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x2c);
    raise_line(f, 8);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x28);
    fixture_free(f);
}

static void test_rotation(void)
{
    struct fixture *f = pic_fixture(1);

    raise_line(f, 4);
    raise_line(f, 6);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x24);
    out8(f, MASTER, 0xa0); /* rotate on non-specific EOI: 4 is lowest now */
    lower_line(f, 4);
    raise_line(f, 4);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x26);
    out8(f, MASTER, 0x20);
    out8(f, MASTER, 0xc0 | 3); /* set priority: 3 lowest, 4 highest */
    raise_line(f, 0);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x24);
    out8(f, MASTER, 0xe0 | 4); /* rotate on specific EOI */
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x20);
    fixture_free(f);
}

static void test_auto_eoi(void)
{
    struct fixture *f = pic_fixture(3);

    raise_line(f, 4);
    raise_line(f, 5);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x24);
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0);
    out8(f, MASTER, 0x80); /* rotate in automatic EOI mode */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x25);
    raise_line(f, 6);
    lower_line(f, 5);
    raise_line(f, 5);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x26); /* 5 has the lowest priority */
    fixture_free(f);
}

static void test_special_mask(void)
{
    struct fixture *f = pic_fixture(1);

    raise_line(f, 3);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x23);
    raise_line(f, 6);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    out8(f, MASTER + 1, 0x08);
    out8(f, MASTER, 0x68); /* special mask mode: the masked level holds nobody back */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x26);
    out8(f, MASTER, 0x20); /* ends 6: the masked bit is not touched */
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0x08);
    out8(f, MASTER, 0x48);
    fixture_free(f);
}

static void test_poll(void)
{
    struct fixture *f = pic_fixture(1);

    out8(f, MASTER, 0x0c);
    CU_ASSERT_EQUAL(in8(f, MASTER), 0);
    raise_line(f, 5);
    out8(f, MASTER, 0x0c);
    CU_ASSERT_EQUAL(in8(f, MASTER), 0x85);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    CU_ASSERT_EQUAL(read_isr(f, MASTER), 0x20); /* the poll acknowledged, and is over */
    raise_line(f, 14);
    out8(f, MASTER, 0x20);
    out8(f, MASTER, 0x0c);
    CU_ASSERT_EQUAL(in8(f, MASTER), 0x82);
    out8(f, SLAVE, 0x0c);
    CU_ASSERT_EQUAL(in8(f, SLAVE), 0x86);
    fixture_free(f);
}

static void test_icw1_resets_edges(void)
{
    struct fixture *f = pic_fixture(1);

    raise_line(f, 1);
    out8(f, MASTER + 1, 0xff);
    initialise(f, MASTER, 0x40, 4, 1);
    CU_ASSERT_EQUAL(in8(f, MASTER + 1), 0);
    CU_ASSERT_FALSE(i8259_has_interrupt(pic_of(f)));
    lower_line(f, 1);
    raise_line(f, 1);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x41);
    fixture_free(f);
}

/* The INTR line follows what is pending. */
static void test_output(void)
{
    struct fixture *f = pic_fixture(1);

    i8259_set_output(pic_of(f), f->machine->gsi[20]);
    raise_line(f, 7);
    CU_ASSERT_TRUE(f->gsi[20].level);
    i8259_acknowledge(pic_of(f));
    CU_ASSERT_FALSE(f->gsi[20].level);
    CU_ASSERT_TRUE(fixture_state_survives((struct device *)pic_of(f)));
    fixture_free(f);
}

/* A naive master: a list of the inputs by priority, and sets. */
struct model {
    unsigned order[8]; /* highest first */
    bool irr[8], isr[8], imr[8], line[8];
    bool special_mask;
};

static void model_make_lowest(struct model *m, unsigned input)
{
    for (unsigned i = 0; i < 8; i++) {
        m->order[i] = (input + 1 + i) & 7;
    }
}

static int model_pending(const struct model *m)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned input = m->order[i];

        if (m->isr[input] && !(m->special_mask && m->imr[input])) {
            return -1;
        }
        if (m->irr[input] && !m->imr[input]) {
            return (int)input;
        }
    }
    return -1;
}

static void model_eoi(struct model *m, bool rotate)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned input = m->order[i];

        if (m->isr[input] && !(m->special_mask && m->imr[input])) {
            m->isr[input] = false;
            if (rotate) {
                model_make_lowest(m, input);
            }
            return;
        }
    }
}

static unsigned model_bits(const bool bits[8])
{
    unsigned value = 0;

    for (unsigned i = 0; i < 8; i++) {
        value |= (unsigned)bits[i] << i;
    }
    return value;
}

static void model_step(struct fixture *f, struct model *m, GRand *random)
{
    static const unsigned inputs[] = {0, 1, 3, 4, 5, 6, 7};
    unsigned input = inputs[g_rand_int(random) % 7], value;
    int pending = model_pending(m);

    switch (g_rand_int(random) % 10) {
    case 0 ... 2:
        m->irr[input] |= !m->line[input];
        m->line[input] = true;
        raise_line(f, input);
        break;
    case 3:
        m->line[input] = false;
        lower_line(f, input);
        break;
    case 4:
        value = g_rand_int(random) & g_rand_int(random) & 0xff;
        for (unsigned i = 0; i < 8; i++) {
            m->imr[i] = value >> i & 1;
        }
        out8(f, MASTER + 1, value);
        break;
    case 5:
        value = g_rand_int(random) & 1;
        model_eoi(m, value);
        out8(f, MASTER, value ? 0xa0 : 0x20);
        break;
    case 6:
        value = g_rand_int(random) & 1;
        m->isr[input] = false;
        if (value) {
            model_make_lowest(m, input);
        }
        out8(f, MASTER, (value ? 0xe0 : 0x60) | input);
        break;
    case 7:
        if (g_rand_int(random) % 4 == 0) {
            model_make_lowest(m, input);
            out8(f, MASTER, 0xc0 | input);
        } else {
            m->special_mask = g_rand_int(random) & 1;
            out8(f, MASTER, m->special_mask ? 0x68 : 0x48);
        }
        break;
    default:
        if (pending >= 0) {
            m->irr[pending] = false;
            m->isr[pending] = true;
        }
        CU_ASSERT_EQUAL(i8259_acknowledge(pic_of(f)), 0x20 + (pending < 0 ? 7 : pending));
    }
}

static void test_against_model(void)
{
    struct fixture *f = pic_fixture(1);
    GRand *random = test_seeded_rand();
    struct model m = {0};

    model_make_lowest(&m, 7);
    for (unsigned i = 0; i < 50000; i++) {
        model_step(f, &m, random);
        CU_ASSERT_EQUAL_FATAL(i8259_has_interrupt(pic_of(f)), model_pending(&m) >= 0);
        CU_ASSERT_EQUAL_FATAL(read_irr(f, MASTER), model_bits(m.irr));
        CU_ASSERT_EQUAL_FATAL(read_isr(f, MASTER), model_bits(m.isr));
    }
    g_rand_free(random);
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = pic_fixture(1);

    for (unsigned i = 0; i < 100; i++) {
        fixture_random_access(f, &f->machine->as_io, MASTER, 2, 50);
        fixture_random_access(f, &f->machine->as_io, SLAVE, 2, 50);
        raise_line(f, i % 16);
        i8259_acknowledge(pic_of(f));
        lower_line(f, i % 16);
        fixture_random_access(f, &f->machine->as_io, 0x4d0, 2, 10);
    }
    CU_ASSERT_TRUE(fixture_state_survives((struct device *)pic_of(f)));
    device_reset((struct device *)pic_of(f));
    CU_ASSERT_EQUAL(in8(f, MASTER + 1), 0);
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"fully nested priorities and EOI", test_nested},
    {"mask", test_mask},
    {"an edge comes once", test_edge_comes_once},
    {"a level comes again after EOI", test_level_comes_again},
    {"spurious interrupts", test_spurious},
    {"cascade", test_cascade},
    {"special fully nested mode", test_special_fully_nested},
    {"rotation", test_rotation},
    {"automatic EOI", test_auto_eoi},
    {"special mask mode", test_special_mask},
    {"poll", test_poll},
    {"ICW1 resets the edge-sense circuit", test_icw1_resets_edges},
    {"INTR output and saved state", test_output},
    {"50,000 steps against a naive model", test_against_model},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("i8259", tests);
}
