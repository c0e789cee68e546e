/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry of 64-bit guest programs: identity map of 4 GiB with 2 MiB pages, long mode,
 * descriptor tables, then main(). Also the exception stubs and the way to user mode and back. */

#define CODE32 0x08
#define CODE64 0x10
#define DATA   0x18

    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .code32
    .globl start
start:
    cli
    cld
    mov $boot_stack_end, %esp
    mov %ebx, multiboot_info
    call build_tables
    lgdt gdt_pointer
    ljmp $CODE32, $1f
1:  mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    call enter_long_mode
    ljmp $CODE64, $start64

build_tables:
    /* page_directory[2048] maps 4 GiB; pdpt has four entries; pml4 one. */
    mov $page_directory, %edi
    mov $0x87, %eax             /* present, writable, user, 2 MiB */
    mov $2048, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $page_directory + 7, %eax
    mov $pdpt, %edi
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 2b
    movl $pdpt + 7, pml4
    ret

    .globl enter_long_mode
enter_long_mode:
    mov %cr4, %eax
    or $0x6b0, %eax             /* PSE, PAE, PGE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    rdmsr
    or $0x901, %eax             /* SCE, LME, NXE */
    wrmsr
    mov %cr0, %eax
    and $0x9ffffffb, %eax       /* caches on, no emulation */
    or $0x80010023, %eax        /* PG, WP, NE, MP, PE */
    mov %eax, %cr0
    ret

    .code64
start64:
    mov $boot_stack_end, %rsp
    xor %ebp, %ebp
    call guest_init
    call main
    mov %eax, %edi
    call guest_exit

/* Application processors start here, copied to TRAMPOLINE: real mode to long mode. */
    .globl trampoline_begin, trampoline_end
    .set trampoline, 0x8000
    .code16
trampoline_begin:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl trampoline + (3f - trampoline_begin)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $CODE32, $trampoline + (1f - trampoline_begin)
    .code32
1:  mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $enter_long_mode, %ebx
    mov trampoline + (4f - trampoline_begin), %esp
    call *%ebx
    ljmp $CODE64, $trampoline + (2f - trampoline_begin)
    .code64
2:  mov trampoline + (4f - trampoline_begin), %rsp
    mov $ap_main, %rax
    call *%rax
5:  hlt
    jmp 5b
    .align 8
3:  .word 0x7f
    .long gdt
    .align 8
4:  .quad 0                      /* the stack, set by the bootstrap processor */
trampoline_end:
    .globl trampoline_stack_offset
trampoline_stack_offset:
    .long 4b - trampoline_begin

/* Exceptions. */
#include "exception-stubs.S"

common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    cld
    call exception_handler
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

/* int user_enter(rip, rsp, argument): run user code with the argument in rdi until an exception
 * or INT 80h; returns through user_leave. */
    .globl user_enter, user_leave
user_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, user_saved_rsp
    pushq $0x33                 /* user data, RPL 3 */
    push %rsi
    pushfq
    orl $0x200, (%rsp)
    mov user_flags, %rax
    or %rax, (%rsp)
    pushq $0x2b                 /* user code, RPL 3 */
    push %rdi
    mov %rdx, %rdi
    iretq
user_leave:
    mov user_saved_rsp, %rsp
    pushq $2                    /* the handler runs with the user's EFLAGS.AC */
    popfq
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    mov %rdi, %rax
    ret

    .data
    .align 16
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08 32-bit code */
    .quad 0x00af9b000000ffff    /* 10 64-bit code */
    .quad 0x00cf93000000ffff    /* 18 data */
    .quad 0x00cffb000000ffff    /* 20 user 32-bit code */
    .quad 0x00affb000000ffff    /* 28 user 64-bit code */
    .quad 0x00cff3000000ffff    /* 30 user data */
    .quad 0
    .fill 8, 8, 0               /* 40.. TSS descriptors and what tests want */
gdt_pointer:
    .word . - gdt - 1
    .quad gdt
    .globl user_flags
user_flags:
    .quad 0

    .bss
    .align 4096
    .globl pml4, pdpt, page_directory
pml4:           .skip 4096
pdpt:           .skip 4096
page_directory: .skip 4 * 4096
boot_stack:     .skip 16384
    .globl boot_stack_end
boot_stack_end:
user_saved_rsp: .skip 8
    .globl multiboot_info
multiboot_info: .skip 8
