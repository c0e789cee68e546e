/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guest test programs share. A program runs on the bare machine, says what fails on the first
 * serial port, and ends through isa-debug-exit at F4h: 10h if all passed, 11h if not (which makes
 * exit statuses 33 and 35).
 */
#ifndef DUODM_TESTS_GUEST_GUEST_H
#define DUODM_TESTS_GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096

static inline void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* PCI configuration space, by mechanism 1: bus << 16 | function << 8 | register. */
static inline uint32_t config_read(uint32_t address)
{
    outl(0xcf8, 0x80000000 | address);
    return inl(0xcfc);
}

static inline void config_write(uint32_t address, uint32_t value)
{
    outl(0xcf8, 0x80000000 | address);
    outl(0xcfc, value);
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}
static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    asm volatile("cpuid"
                 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                 : "a"(leaf), "c"(subleaf));
}

void print(const char *text);
/* The value's digits, somewhere in text. */
#define DECIMAL_SIZE 24
const char *decimal(unsigned long value, char text[DECIMAL_SIZE]);
void print_decimal(unsigned long value);
void print_hex(uint64_t value);
void guest_exit(int failed) __attribute__((noreturn));
void guest_init(void);

/* Count and report a failed expectation; the program goes on. */
extern unsigned checks, failures;
void check_equal(const char *file, int line, const char *what, uint64_t got, uint64_t expected);
#define CHECK_EQUAL(got, expected)                                                                 \
    check_equal(__FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(expected))
#define CHECK(condition) CHECK_EQUAL(!!(condition), 1)
/* To say which case a failed check belongs to: printed with the failure. */
extern const char *check_case;
extern uint64_t check_number;

int guest_result(void); /* what main returns: prints the summary */

int main(void);

#ifdef __x86_64__

#define CR0_WP    (1ul << 16)
#define CR0_AM    (1ul << 18)
#define CR4_PCIDE (1ul << 17)
#define CR4_SMEP  (1ul << 20)
#define CR4_SMAP  (1ul << 21)
#define EFER_NXE  (1ul << 11)
#define MSR_EFER  0xc0000080u

#define READ_CR(n)                                                                                 \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        asm volatile("mov %%cr" #n ", %0" : "=r"(value_));                                         \
        value_;                                                                                    \
    })
#define WRITE_CR(n, value) asm volatile("mov %0, %%cr" #n : : "r"((uint64_t)(value)) : "memory")

/* What an exception handler sees on its stack. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* The last exception that TRY or user code caused. */
struct fault {
    int vector; /* -1: none */
    uint64_t error, cr2, rip, rflags, dr6;
};
extern struct fault fault;
extern uint64_t fault_resume; /* where to go on; 0: an exception is unexpected */

/* Handlers of vectors that a test wants: called with interrupts off, returns to the frame. */
typedef void (*handler_fn)(struct frame *frame);
extern handler_fn handlers[256];

/* Execute an instruction; `fault` says what it raised. Uses rax. */
#define TRY(instruction, ...)                                                                      \
    do {                                                                                           \
        fault.vector = -1;                                                                         \
        asm volatile("lea 1f(%%rip), %%rax\n\t"                                                    \
                     "mov %%rax, fault_resume\n\t" instruction "\n"                                \
                     "1: movq $0, fault_resume"                                                    \
                     :                                                                             \
                     : __VA_ARGS__                                                                 \
                     : "rax", "rcx", "rdx", "memory", "cc");                                       \
    } while (0)

int try_rdmsr(uint32_t msr); /* the vector raised, or -1 */
int try_wrmsr(uint32_t msr, uint64_t value);

/* Run user code at rip until INT 80h (vector 80h) or an exception; returns the vector. */
int user_enter(uint64_t rip, uint64_t rsp, uint64_t argument);
extern uint64_t user_flags; /* further RFLAGS bits for user code */
void user_leave(uint64_t vector) __attribute__((noreturn));

void idt_set(unsigned vector, unsigned ist, unsigned dpl);
void idt_clear(unsigned vector); /* no gate */

extern uint64_t gdt[16], pml4[512], pdpt[512], page_directory[2048];
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));
extern struct tss tss;

/* Local APIC, xAPIC mode. */
static inline uint32_t apic_read(unsigned offset)
{
    return *(volatile uint32_t *)(0xfee00000ul + offset);
}
static inline void apic_write(unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(0xfee00000ul + offset) = value;
}
/* Its registers in either mode; ICR, of which x2APIC mode makes one, is not among them. */
extern bool x2apic; /* set by who switches to x2APIC mode */
static inline uint32_t local_read(unsigned offset)
{
    return x2apic ? (uint32_t)rdmsr(0x800 + offset / 16) : apic_read(offset);
}
static inline void local_write(unsigned offset, uint32_t value)
{
    if (x2apic) {
        wrmsr(0x800 + offset / 16, value);
    } else {
        apic_write(offset, value);
    }
}
void apic_enable(void);
/* Start all other processors; each calls ap_entry(index) with index 1.. Returns how many. */
unsigned start_processors(void (*ap_entry)(unsigned index));
/* The address below 1 MiB, of a page, at which a processor starts in real mode to get to entry(),
 * which does not return: a waking vector. Not for a program that starts processors. */
uint32_t prepare_real_mode_entry(void (*entry)(unsigned index));
void delay_us(unsigned us);

#else /* 32-bit */

struct frame {
    uint32_t gs, fs, es, ds, edi, esi, ebp, esp_ignored, ebx, edx, ecx, eax;
    uint32_t vector, error, eip, cs, eflags, esp, ss; /* the last two from user mode only */
};

struct fault {
    int vector; /* -1: none */
    uint32_t error, eip, eflags;
};
extern struct fault fault;
extern uint32_t fault_resume;
typedef void (*handler_fn)(struct frame *frame);
extern handler_fn handlers[256];

/* Execute an instruction; `fault` says what it raised. Uses eax; ecx and edx are free too. */
#define TRY(instruction, ...)                                                                      \
    do {                                                                                           \
        fault.vector = -1;                                                                         \
        fault.error = 0;                                                                           \
        asm volatile("movl $1f, fault_resume\n\t" instruction "\n"                                 \
                     "1: movl $0, %%ss:fault_resume"                                               \
                     :                                                                             \
                     : __VA_ARGS__                                                                 \
                     : "eax", "ecx", "edx", "memory", "cc");                                       \
    } while (0)

int user_enter(uint32_t eip, uint32_t esp, uint32_t eflags, uint32_t cs, uint32_t ss);
void user_leave(int vector) __attribute__((noreturn));
void real_mode_call(uint32_t offset);
extern char real_begin[];
#define REAL_BASE 0x70000

void idt_set(unsigned vector, unsigned dpl);
void idt_set_gate(unsigned vector, uint64_t gate);
/* access: bits 8..15 of the second word; flags: G, D/B, L, AVL. */
uint64_t make_descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags);

extern uint64_t gdt[32];
struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
};
extern struct tss tss;

#endif
#endif
