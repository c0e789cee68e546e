/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address and data: SDM vol. 3, 11.11. */
#include "backend-xen/passthrough/xen-message.h"
#include "backend-xen/xen-libraries.h"
#include "dm/pci/msi-regs.h"

#define ADDRESS_DESTINATION 12 /* shift: 8 bits */
#define ADDRESS_REDIRECTION 0x8u
#define ADDRESS_LOGICAL     0x4u
#define ADDRESS_PIRQ_HIGH   0xffffff00u /* bits 63:40: Xen's, of a PIRQ */
#define DATA_DELIVERY       8           /* shift: 3 bits */
#define DATA_LEVEL          0x8000u
#define FLAGS_DELIVERY      12 /* shift */

/* Of those that SMI (2), NMI (4) and INIT (5) are sent by, the vector means nothing. */
static bool has_vector(uint32_t delivery)
{
    return delivery != 2 && delivery != 4 && delivery != 5;
}

bool xen_message_decode(uint64_t address, uint32_t data, struct xen_message *message)
{
    uint32_t low = (uint32_t)address, high = (uint32_t)(address >> 32);
    uint32_t destination = low >> ADDRESS_DESTINATION & 0xff;
    uint32_t delivery = data >> DATA_DELIVERY & 7;

    if ((low & ~(uint32_t)(MSI_WINDOW_SIZE - 1)) != MSI_WINDOW) {
        return false;
    }
    *message = (struct xen_message){
        .vector = (uint8_t)data,
        .flags = destination | (low & ADDRESS_REDIRECTION ? XEN_DOMCTL_VMSI_X86_RH_MASK : 0) |
                 (low & ADDRESS_LOGICAL ? XEN_DOMCTL_VMSI_X86_DM_MASK : 0) |
                 delivery << FLAGS_DELIVERY |
                 (data & DATA_LEVEL ? XEN_DOMCTL_VMSI_X86_TRIG_MASK : 0),
    };
    /* No local APIC takes vector 0. Linux writes delivery mode 3 or, since 5.11, 7. */
    if (message->vector == 0 && has_vector(delivery)) {
        message->pirq = (high & ADDRESS_PIRQ_HIGH) | destination;
    }
    return true;
}
