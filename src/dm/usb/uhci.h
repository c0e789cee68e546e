/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI (Universal Host Controller Interface Design Guide 1.1), as in the PIIX3: registers in
 * uhci.c, the schedule in uhci-schedule.c.
 */
#ifndef DUODM_DM_USB_UHCI_H
#define DUODM_DM_USB_UHCI_H

#include "dm/clock.h"
#include "dm/pci/pci.h"
#include "dm/usb/usb.h"

#define UHCI_PORTS    2
#define UHCI_FRAME_NS 1000000ull /* 1 ms */

/* USBCMD, 2.1.1 */
#define USBCMD_RS      0x0001 /* run */
#define USBCMD_HCRESET 0x0002
#define USBCMD_GRESET  0x0004
#define USBCMD_EGSM    0x0008 /* global suspend */
#define USBCMD_FGR     0x0010 /* force global resume */
/* USBSTS, 2.1.2 */
#define USBSTS_USBINT 0x0001
#define USBSTS_ERROR  0x0002
#define USBSTS_RESUME 0x0004
#define USBSTS_HSE    0x0008 /* host system error: the schedule is not in memory */
#define USBSTS_HCPE   0x0010 /* host controller process error: it is no schedule */
#define USBSTS_HALTED 0x0020
/* USBINTR, 2.1.3 */
#define USBINTR_ERROR  0x0001
#define USBINTR_RESUME 0x0002
#define USBINTR_IOC    0x0004
#define USBINTR_SHORT  0x0008

struct uhci {
    struct pci_device pci;
    struct memory_region registers;
    struct usb_bus bus;
    uint16_t command, status, interrupts, frame;
    uint32_t frame_list;
    uint8_t sof_modify;
    uint16_t ports[UHCI_PORTS];
    uint8_t causes;           /* of USBSTS.USBINT: bits of USBINTR */
    struct clock_timer timer; /* of the frame, or of several while nothing happens */
    uint64_t frame_start;     /* ns: when `frame` begins */
    uint32_t quiet;           /* frames in a row in which nothing was transferred */
};

/* Carry out one frame: its part of the schedule, within what a frame has time for. The number of
 * transactions that transferred something. Sets status and causes, and clears RS on an error. */
unsigned uhci_run_frame(struct uhci *uhci);
/* A bit for each port that is enabled. */
unsigned uhci_enabled_ports(const struct uhci *uhci);

#endif
