/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables and exceptions for 32-bit programs. */
#include "guest.h"

struct fault fault;
uint32_t fault_resume;
handler_fn handlers[256];
struct tss tss;

extern char exception_stubs[];

static uint64_t idt[256] __attribute__((aligned(16)));
static char exception_stack[16384] __attribute__((aligned(16)));

void idt_set_gate(unsigned vector, uint64_t gate)
{
    idt[vector] = gate;
}

void idt_set(unsigned vector, unsigned dpl)
{
    uint32_t address = (uint32_t)exception_stubs + vector * 16;

    idt[vector] = (address & 0xffff) | 0x08u << 16 |
                  (uint64_t)((address & 0xffff0000) | 0x8e00 | dpl << 13) << 32;
}

uint64_t make_descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

void guest_init(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

    for (unsigned i = 0; i < 256; i++) {
        idt_set(i, i == 0x80 || i == 3 || i == 4 ? 3 : 0);
    }
    asm volatile("lidt %0" : : "m"(pointer));
    tss.esp0 = (uint32_t)exception_stack + sizeof(exception_stack);
    tss.ss0 = 0x10;
    tss.io_map = sizeof(tss);
    gdt[8] = make_descriptor((uint32_t)&tss, sizeof(tss) - 1, 0x89, 0);
    asm volatile("ltr %w0" : : "r"(0x40));
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void exception_handler(struct frame *frame);
void exception_handler(struct frame *frame)
{
    if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    fault.vector = (int)frame->vector;
    fault.error = frame->error;
    fault.eip = frame->eip;
    fault.eflags = frame->eflags;
    if ((frame->cs & 3) || (frame->eflags & 1 << 17)) {
        user_leave((int)frame->vector);
    }
    if (fault_resume) {
        frame->eip = fault_resume;
        fault_resume = 0;
        return;
    }
    print("unexpected exception ");
    print_hex(frame->vector);
    print(" error ");
    print_hex(frame->error);
    print(" eip ");
    print_hex(frame->eip);
    print(" in ");
    print(check_case);
    print("\n");
    guest_exit(1);
}
