/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The option ROM by which a BIOS that is not ours starts -kernel: kernel-rom.c says how. Its init
 * takes the boot interrupt (19h). That has duodm write the kernel into memory, and puts the processor
 * into the state that the kernel is to be entered in: flat 32-bit segments, or long mode.
 *
 * Addresses are relative to the ROM's start, wherever the BIOS has put it.
 */
#define AT(label) (label - kernel_rom_start)

#define SEGMENT_CODE 0x10
#define SEGMENT_DATA 0x18
#define GDT_LIMIT    0x1f
#define STACK        0x7c00 /* no kernel's part is put there */
#define MSR_EFER     0xc0000080
#define PORT         0x51c

    .section .rodata
    .globl kernel_rom_start, kernel_rom_parameters, kernel_rom_end
    .balign 16
    .code16
kernel_rom_start:
    .byte 0x55, 0xaa, (kernel_rom_end - kernel_rom_start) / 512
    jmp init
    .balign 16

/* struct kernel_rom_parameters: filled in by duodm. */
kernel_rom_parameters:
cr0:    .long 0
cr3:    .long 0
cr4:    .long 0
efer:   .long 0
entry:  .quad 0
rax:    .quad 0
rdx:    .quad 0
rbx:    .quad 0
rsp:    .quad 0
rbp:    .quad 0
rsi:    .quad 0
rdi:    .quad 0

    .balign 16
gdt_32:
    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_64:
    .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff

init: /* called far; all registers but ax are kept */
    pushw %ds
    xorw %ax, %ax
    movw %ax, %ds
    movw $AT(boot), 4 * 0x19
    movw %cs, 4 * 0x19 + 2
    popw %ds
    lretw

boot:
    cli
    cld
    movw $PORT, %dx
    outl %eax, %dx /* write the kernel */
    inl %dx, %eax
    testl %eax, %eax
    jz loaded
    sti
    int $0x18 /* what the BIOS does when nothing boots */
    jmp boot

loaded:
    xorl %ebx, %ebx
    movw %cs, %bx
    shll $4, %ebx /* the ROM's address */
    xorw %ax, %ax
    movw %ax, %ss
    movl $STACK, %esp
    leal AT(gdt_32)(%ebx), %eax
    leal AT(flat_32)(%ebx), %edx
    movl %cs:AT(efer), %ecx
    testl %ecx, %ecx
    jz 1f
    leal AT(gdt_64)(%ebx), %eax
    leal AT(flat_64)(%ebx), %edx
1:  pushw $SEGMENT_CODE /* for the far jump */
    pushl %edx
    pushl %eax
    pushw $GDT_LIMIT
    movw %sp, %bp
    lgdtl (%bp)
    movl %cs:AT(cr4), %eax
    movl %eax, %cr4
    movl %cs:AT(cr3), %eax
    movl %eax, %cr3
    movl %cs:AT(efer), %eax
    testl %eax, %eax
    jz 2f
    movl $MSR_EFER, %ecx
    xorl %edx, %edx
    wrmsr
2:  movl %cs:AT(cr0), %eax
    movl %eax, %cr0
    ljmpl *6(%bp)

    .code32
flat_32:
    movl $SEGMENT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl AT(rax)(%ebx), %eax
    movl AT(rdx)(%ebx), %edx
    movl AT(rsp)(%ebx), %esp
    movl AT(rbp)(%ebx), %ebp
    movl AT(rsi)(%ebx), %esi
    movl AT(rdi)(%ebx), %edi
    movl AT(entry)(%ebx), %ecx
    movl AT(rbx)(%ebx), %ebx
    jmp *%ecx

    .code64
flat_64:
    movl $SEGMENT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movq AT(rax)(%rbx), %rax
    movq AT(rdx)(%rbx), %rdx
    movq AT(rsp)(%rbx), %rsp
    movq AT(rbp)(%rbx), %rbp
    movq AT(rsi)(%rbx), %rsi
    movq AT(rdi)(%rbx), %rdi
    movq AT(entry)(%rbx), %rcx
    movq AT(rbx)(%rbx), %rbx
    jmp *%rcx

    .balign 512
kernel_rom_end:

    .section .note.GNU-stack, "", @progbits
