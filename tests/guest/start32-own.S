/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot entry of protected32.c, which makes its own descriptor tables: flat segments, paging off,
 * main(). Exception stubs; ways to user mode and v86 mode and back. */

#define CODE0 0x08
#define DATA0 0x10

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
    ljmp $CODE0, $1f
1:  mov $DATA0, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    xor %eax, %eax
    mov %ax, %fs
    mov %ax, %gs
    push $0
    popf
    call guest_init32
    call main
    push %eax
    call guest_exit

#include "exception-stubs.S"

common:
    pusha
    push %ds
    push %es
    mov $DATA0, %ax
    mov %ax, %ds
    mov %ax, %es
    cld
    push %esp
    call exception_handler32
    add $4, %esp
    pop %es
    pop %ds
    popa
    add $8, %esp
    iret

/* void frame_enter(const uint32_t *frame, unsigned count): IRET to a frame of count words; comes
 * back by frame_leave. */
    .globl frame_enter, frame_leave
frame_enter:
    pusha
    mov 36(%esp), %esi
    mov 40(%esp), %ecx
    mov %esp, saved_esp
    lea (,%ecx,4), %eax
    sub %eax, %esp
    mov %esp, %edi
    rep movsl
    iret
frame_leave:
    mov $DATA0, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov saved_esp, %esp
    popa
    ret

    .data
    .align 8
gdt_pointer:
    .word 32 * 8 - 1
    .long gdt

    .bss
    .align 16
saved_esp:
    .skip 16
    .globl boot_stack_end
    .skip 16384
boot_stack_end:
