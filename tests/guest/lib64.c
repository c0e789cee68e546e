/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables, exceptions, processors, for 64-bit programs. */
#include "guest.h"

struct fault fault;
uint64_t fault_resume;
handler_fn handlers[256];
struct tss tss;
bool x2apic;

extern char exception_stubs[], trampoline_begin[], trampoline_end[];
extern uint32_t trampoline_stack_offset;

static struct {
    uint16_t low, selector;
    uint8_t ist, type;
    uint16_t middle;
    uint32_t high, reserved;
} idt[256] __attribute__((aligned(16)));

static char exception_stack[16384] __attribute__((aligned(16)));

void idt_set(unsigned vector, unsigned ist, unsigned dpl)
{
    uint64_t address = (uint64_t)exception_stubs + vector * 16;

    idt[vector].low = (uint16_t)address;
    idt[vector].selector = 0x10;
    idt[vector].ist = (uint8_t)ist;
    idt[vector].type = (uint8_t)(0x8e | dpl << 5);
    idt[vector].middle = (uint16_t)(address >> 16);
    idt[vector].high = (uint32_t)(address >> 32);
}

void idt_clear(unsigned vector)
{
    idt[vector].type = 0;
}

static void load_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

    asm volatile("lidt %0" : : "m"(pointer));
}

void guest_init(void)
{
    uint64_t base = (uint64_t)&tss;

    for (unsigned i = 0; i < 256; i++) {
        idt_set(i, 0, i == 0x80 || i == 3 || i == 4 ? 3 : 0);
    }
    load_idt();
    tss.rsp[0] = (uint64_t)exception_stack + sizeof(exception_stack);
    tss.io_map = sizeof(tss);
    gdt[8] =
        (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[9] = base >> 32;
    asm volatile("ltr %w0" : : "r"(0x40));
    /* 8259s masked: programs that want them say so. */
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
    fault.rip = frame->rip;
    fault.rflags = frame->rflags;
    fault.cr2 = READ_CR(2);
    asm volatile("mov %%dr6, %0" : "=r"(fault.dr6));
    if (frame->cs & 3) {
        user_leave(frame->vector);
    }
    if (fault_resume) {
        frame->rip = fault_resume;
        frame->rflags &= ~0x100ull;
        fault_resume = 0;
        return;
    }
    print("unexpected exception ");
    print_hex(frame->vector);
    print(" error ");
    print_hex(frame->error);
    print(" rip ");
    print_hex(frame->rip);
    print(" cr2 ");
    print_hex(fault.cr2);
    print("\n");
    guest_exit(1);
}

int try_rdmsr(uint32_t msr)
{
    fault.vector = -1;
    asm volatile("lea 1f(%%rip), %%rax; mov %%rax, fault_resume; rdmsr; 1: movq $0, fault_resume"
                 :
                 : "c"(msr)
                 : "rax", "rdx", "memory");
    return fault.vector;
}

int try_wrmsr(uint32_t msr, uint64_t value)
{
    uint32_t low = (uint32_t)value;

    fault.vector = -1;
    asm volatile("lea 1f(%%rip), %%rbx; mov %%rbx, fault_resume; wrmsr; 1: movq $0, fault_resume"
                 :
                 : "c"(msr), "a"(low), "d"((uint32_t)(value >> 32))
                 : "rbx", "memory");
    return fault.vector;
}

/* Channel 2 of the 8254, one-shot, counted down at 1.193182 MHz. */
void delay_us(unsigned us)
{
    while (us) {
        unsigned part = us > 40000 ? 40000 : us,
                 count = (unsigned)(part * 1193182ull / 1000000) + 1;

        outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
        outb(0x43, 0xb0);
        outb(0x42, (uint8_t)count);
        outb(0x42, (uint8_t)(count >> 8));
        while (!(inb(0x61) & 0x20)) {
        }
        us -= part;
    }
}

void apic_enable(void)
{
    apic_write(0xf0, 0x1ff);
}

static void (*ap_function)(unsigned index);
static volatile unsigned ap_started;
static char ap_stacks[8][8192] __attribute__((aligned(16)));

void ap_main(void);
void ap_main(void)
{
    unsigned index = ap_started + 1;

    load_idt();
    apic_enable();
    __atomic_store_n(&ap_started, index, __ATOMIC_SEQ_CST);
    ap_function(index);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

static void send_ipi(uint8_t id, uint32_t low)
{
    apic_write(0x310, (uint32_t)id << 24);
    apic_write(0x300, low);
    while (apic_read(0x300) & 0x1000) {
    }
}

/* What starts in real mode there goes on in ap_main, which calls entry(index). */
static char *place_trampoline(void (*entry)(unsigned index), unsigned stack)
{
    char *trampoline = (char *)0x8000;

    ap_function = entry;
    for (char *from = trampoline_begin, *to = trampoline; from < trampoline_end;) {
        *to++ = *from++;
    }
    *(volatile uint64_t *)(trampoline + trampoline_stack_offset) = (uint64_t)ap_stacks[stack];
    return trampoline;
}

uint32_t prepare_real_mode_entry(void (*entry)(unsigned index))
{
    return (uint32_t)(uintptr_t)place_trampoline(entry, 1);
}

/* One after the other, by APIC ID, until two in a row don't answer: in a Xen domain all are even.
 */
unsigned start_processors(void (*ap_entry)(unsigned index))
{
    unsigned own = apic_read(0x20) >> 24, missed = 0;

    for (unsigned id = 0; id < 8 && missed < 2; id++) {
        unsigned before = ap_started;

        if (id == own) {
            continue;
        }
        place_trampoline(ap_entry, before + 1);
        send_ipi((uint8_t)id, 0x4500);
        delay_us(1000);
        send_ipi((uint8_t)id, 0x4608);
        for (unsigned i = 0; i < 20 && ap_started == before; i++) {
            delay_us(5000);
        }
        missed = ap_started == before ? missed + 1 : 0;
    }
    return ap_started;
}
