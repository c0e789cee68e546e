/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jumps to where there is a device, not memory: a hypervisor has nothing to execute there. */
#include "guest.h"

#define DEVICE 0xfed00000ul /* HPET */

int main(void)
{
    print("jumping\n");
    asm volatile("mov $0x600d, %%eax; jmp *%0" : : "r"(DEVICE) : "rax");
    return guest_result();
}
