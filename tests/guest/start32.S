/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry of 32-bit guest programs, exception stubs, real mode and back. Paging is off. */

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
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %fs
    mov %ax, %gs
    mov %ax, %ss
    xor %ebp, %ebp
    call guest_init
    call main
    push %eax
    call guest_exit

#include "exception-stubs.S"

/* Frame: gs fs es ds, then PUSHA's, vector, error, eip, cs, eflags [, esp, ss]. */
common:
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %esp, %eax
    push %eax
    cld
    call exception_handler
    add $4, %esp
    add $8, %esp                /* FS and GS are left alone: tests make them unloadable */
    pop %es
    pop %ds
    popa
    add $8, %esp
    iret

/* int user_enter(eip, esp, flags, cs, ss): leaves the kernel; comes back through user_leave. */
    .globl user_enter, user_leave
user_enter:
    push %ebx
    push %ebp
    push %esi
    push %edi
    mov %esp, user_saved_esp
    mov %esp, %eax
    mov 36(%eax), %ecx
    push %ecx                   /* ss */
    mov 24(%eax), %ecx
    push %ecx                   /* esp */
    mov 28(%eax), %ecx
    push %ecx                   /* flags */
    mov 32(%eax), %ecx
    push %ecx                   /* cs */
    mov 20(%eax), %ecx
    push %ecx                   /* eip */
    iret
user_leave:
    mov 4(%esp), %eax
    mov user_saved_esp, %esp
    pushl $2
    popf
    mov $0x10, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret

/* void real_mode_call(function): run a 16-bit function, linked below 64 KiB of REAL_SEGMENT. */
    .globl real_mode_call
real_mode_call:
    push %ebx
    push %ebp
    push %esi
    push %edi
    mov 20(%esp), %edx
    mov %esp, real_saved_esp
    sidt real_saved_idt
    lidt real_idt
    mov $0x38, %eax             /* 16-bit data, base of .real, limit 64 KiB */
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    ljmp $0x30, $real_entry_offset

    .section .real, "ax"
    .code16
    .globl real_begin
real_begin:
real_entry:
    mov %cr0, %eax
    and $0xfffffffe, %eax
    mov %eax, %cr0
    .byte 0xea                  /* jump far: REAL_SEGMENT:1f */
    .word real_offset_1, 0x7000
real_1:
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0xfff0, %sp
    call *%dx
    cli
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    .byte 0x66, 0xea
    .long real_return
    .word 0x08
    .org 0x100                  /* where the program's own 16-bit code begins */
    .set real_entry_offset, real_entry - real_begin
    .set real_offset_1, real_1 - real_begin

    .text
    .code32
real_return:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov real_saved_esp, %esp
    lidt real_saved_idt
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret

    .data
    .align 16
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08 code */
    .quad 0x00cf93000000ffff    /* 10 data */
    .quad 0x00cffb000000ffff    /* 18 user code */
    .quad 0x00cff3000000ffff    /* 20 user data */
    .quad 0x00af9b000000ffff    /* 28 64-bit code */
    .quad 0x00009b070000ffff    /* 30 16-bit code at 70000 */
    .quad 0x000093070000ffff    /* 38 16-bit data at 70000 */
    .fill 24, 8, 0              /* 40.. what tests want */
gdt_pointer:
    .word . - gdt - 1
    .long gdt
real_idt:
    .word 0x3ff
    .long 0

    .bss
    .align 16
boot_stack:     .skip 16384
    .globl boot_stack_end
boot_stack_end:
    .globl user_saved_esp
user_saved_esp: .skip 4
real_saved_esp: .skip 4
real_saved_idt: .skip 8
