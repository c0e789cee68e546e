/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interrupt line of a UART: it is set when its level changes, and only then, because a line
 * into the kernel's controllers costs a system call. */
#include "unit/fixture.h"

#define COM1    0x3f8
#define IRQ     4
#define IER     (COM1 + 1)
#define IIR     (COM1 + 2)
#define SCRATCH (COM1 + 7)

static void test_line_is_set_when_it_changes(void)
{
    struct fixture *f = fixture_new(1);
    unsigned before;

    fixture_add(f, "isa-serial", NULL, NULL);
    before = f->gsi[IRQ].sets;
    for (unsigned i = 0; i < 100; i++) {
        out8(f, SCRATCH, i);
        CU_ASSERT_EQUAL(in8(f, SCRATCH), i);
    }
    CU_ASSERT_EQUAL(f->gsi[IRQ].sets, before);
    out8(f, COM1, 'x'); /* nobody takes it: THR is empty at once */
    out8(f, IER, 2);
    CU_ASSERT_TRUE(f->gsi[IRQ].level);
    CU_ASSERT_EQUAL(f->gsi[IRQ].sets, before + 1);
    CU_ASSERT_EQUAL(in8(f, IIR) & 0xf, 2);
    CU_ASSERT_FALSE(f->gsi[IRQ].level);
    CU_ASSERT_EQUAL(f->gsi[IRQ].sets, before + 2);
    fixture_free(f);
}

/* THR that is written and empties at once is a new edge each time. */
static void test_each_character_is_an_edge(void)
{
    struct fixture *f = fixture_new(1);
    unsigned rises;

    fixture_add(f, "isa-serial", NULL, NULL);
    out8(f, IER, 2);
    rises = f->gsi[IRQ].rises;
    for (unsigned i = 0; i < 10; i++) {
        out8(f, COM1, 'x');
        CU_ASSERT_EQUAL(f->gsi[IRQ].rises, ++rises);
    }
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"the line is set when it changes", test_line_is_set_when_it_changes},
        {"each character is an edge", test_each_character_is_an_edge},
        {NULL, NULL},
    };

    return unit_run("serial-16550", tests);
}
