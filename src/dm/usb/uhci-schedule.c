/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The schedule of UHCI: Design Guide 1.1, chapter 3. A guest's memory: links may lead anywhere. */
#include "dm/usb/uhci.h"
#include "util/little-endian.h"

/* What a frame has time for: 3.1 and USB 2.0, 5.5.3. Links that lead in circles end there too. */
#define FRAME_BYTES 1500
#define FRAME_STEPS 512  /* queue heads and descriptors looked at */
#define FRAME_LINKS 1024 /* of the frame list */

#define LINK_T       0x1u /* terminates */
#define LINK_Q       0x2u /* to a queue head */
#define LINK_VF      0x4u /* depth first */
#define LINK_ADDRESS 0xfffffff0u

/* A transfer descriptor: 3.2. */
#define TD_SIZE       16
#define TD_ACTIVE     0x00800000u
#define TD_STALLED    0x00400000u
#define TD_BABBLE     0x00100000u
#define TD_NAK        0x00080000u
#define TD_TIMEOUT    0x00040000u
#define TD_STATUS     0x00fe0000u
#define TD_ACTUAL     0x000007ffu
#define TD_IOC        0x01000000u
#define TD_ERRORS     0x18000000u /* C_ERR: tries that are left */
#define TD_SHORT      0x20000000u /* SPD */
#define TD_LENGTH_MAX 1280

struct td {
    uint32_t address, link, control, token, buffer;
};

enum td_result {
    TD_WAITS,   /* not active, or NAKed: nothing changes */
    TD_DONE,    /* go on with the next */
    TD_STOPPED, /* it is done, but its queue stays there: short, or an error */
    TD_ABORTED, /* the controller stops */
};

struct walk {
    struct uhci *uhci;
    unsigned steps, bytes; /* so far in this frame */
    unsigned transfers;
    uint32_t anchor; /* a queue head: if it comes again and nothing was transferred, that is all */
    unsigned anchor_transfers, anchor_steps;
    bool aborted;
};

static bool halt(struct uhci *uhci, uint16_t why)
{
    uhci->status |= why | USBSTS_HALTED;
    uhci->command &= (uint16_t)~USBCMD_RS;
    return false;
}

static bool load_words(struct uhci *uhci, uint32_t address, uint32_t *words, unsigned count)
{
    uint8_t bytes[TD_SIZE];

    if (pci_dma_read(&uhci->pci, address, bytes, 4ull * count) != MEMORY_OK) {
        return halt(uhci, USBSTS_HSE);
    }
    for (unsigned i = 0; i < count; i++) {
        words[i] = load_le32(bytes + 4 * i);
    }
    return true;
}

static bool store_word(struct uhci *uhci, uint32_t address, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    return pci_dma_write(&uhci->pci, address, bytes, 4) == MEMORY_OK || halt(uhci, USBSTS_HSE);
}

unsigned uhci_enabled_ports(const struct uhci *uhci)
{
    unsigned enabled = 0;

    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        enabled |= (uhci->ports[i] >> 2 & 1u) << i;
    }
    return enabled;
}

static size_t td_length(const struct td *td)
{
    return ((td->token >> 21) + 1) & 0x7ff; /* 7FFh: none */
}

/* The transaction itself: bytes or an enum usb_result. */
static int transact(struct walk *walk, const struct td *td, uint8_t *data)
{
    struct uhci *uhci = walk->uhci;
    unsigned address = td->token >> 8 & 0x7f, endpoint = td->token >> 15 & 0xf;
    enum usb_pid pid = (enum usb_pid)(td->token & 0xff);
    size_t length = td_length(td);
    struct usb_device *device =
        usb_bus_find(&uhci->bus, (uint8_t)address, uhci_enabled_ports(uhci));

    if (!device) {
        return USB_NO_REPLY;
    }
    if (pid != USB_PID_IN && length &&
        pci_dma_read(&uhci->pci, td->buffer, data, length) != MEMORY_OK) {
        halt(uhci, USBSTS_HSE);
        return USB_NO_REPLY;
    }
    return usb_device_transact(device, pid, endpoint, data, length);
}

/* 3.2.2: status bits, and whether the queue goes on. */
static enum td_result complete(struct walk *walk, struct td *td, int result, const uint8_t *data)
{
    struct uhci *uhci = walk->uhci;
    uint32_t control = td->control & ~(TD_STATUS & ~TD_ACTIVE);
    enum td_result end = TD_DONE;

    if (result == USB_NAK) {
        td->control = control | TD_NAK;
        return TD_WAITS;
    }
    if (result < 0) {
        control |= result == USB_STALL ? TD_STALLED : TD_TIMEOUT | TD_STALLED;
        control &= ~(TD_ERRORS | TD_ACTIVE);
        uhci->status |= USBSTS_ERROR;
        end = TD_STOPPED;
    } else {
        control = (control & ~(TD_ACTIVE | TD_ACTUAL)) | (((unsigned)result - 1) & TD_ACTUAL);
        if ((td->token & 0xff) == USB_PID_IN) {
            if (result &&
                pci_dma_write(&uhci->pci, td->buffer, data, (uint64_t)result) != MEMORY_OK) {
                halt(uhci, USBSTS_HSE);
                return TD_ABORTED;
            }
            if ((size_t)result < td_length(td) && (td->control & TD_SHORT)) {
                uhci->causes |= USBINTR_SHORT;
                uhci->status |= USBSTS_USBINT;
                end = TD_STOPPED;
            }
        }
        walk->transfers++;
    }
    if (td->control & TD_IOC) {
        uhci->causes |= USBINTR_IOC;
        uhci->status |= USBSTS_USBINT;
    }
    td->control = control;
    return end;
}

static bool is_valid(const struct td *td)
{
    unsigned pid = td->token & 0xff;

    return td_length(td) <= TD_LENGTH_MAX &&
           (pid == USB_PID_IN || pid == USB_PID_OUT || pid == USB_PID_SETUP);
}

static enum td_result run_td(struct walk *walk, uint32_t address, uint32_t *link)
{
    struct uhci *uhci = walk->uhci;
    uint8_t data[TD_LENGTH_MAX];
    struct td td = {.address = address};
    enum td_result result;
    uint32_t before;
    int got;

    if (!load_words(uhci, address, &td.link, 4)) {
        return TD_ABORTED;
    }
    *link = td.link;
    if (!(td.control & TD_ACTIVE)) {
        return TD_WAITS;
    }
    if (!is_valid(&td)) {
        halt(uhci, USBSTS_HCPE);
        return TD_ABORTED;
    }
    before = td.control;
    got = transact(walk, &td, data);
    if (uhci->status & USBSTS_HSE) {
        return TD_ABORTED;
    }
    walk->bytes += got > 0 ? (unsigned)got : 0;
    result = complete(walk, &td, got, data);
    if (result != TD_ABORTED && td.control != before &&
        !store_word(uhci, address + 4, td.control)) {
        return TD_ABORTED;
    }
    return result;
}

/* May the frame go on? */
static bool has_time(struct walk *walk)
{
    return !walk->aborted && walk->steps++ < FRAME_STEPS && walk->bytes < FRAME_BYTES;
}

/* A queue: 3.3 and 3.4.2. Runs its first descriptor; with Vf those behind it too. The link to what
 * lies beside the queue is *link. */
static void run_queue(struct walk *walk, uint32_t address, uint32_t *link)
{
    struct uhci *uhci = walk->uhci;
    uint32_t words[2], next;
    enum td_result result;

    if (!load_words(uhci, address, words, 2)) {
        walk->aborted = true;
        return;
    }
    *link = words[0];
    while (!(words[1] & LINK_T) && has_time(walk)) {
        if (words[1] & LINK_Q) {
            *link = words[1]; /* a queue of queues: nobody makes these, but they may be */
            return;
        }
        result = run_td(walk, words[1] & LINK_ADDRESS, &next);
        walk->aborted = result == TD_ABORTED;
        if (result != TD_DONE) {
            return;
        }
        words[1] = next;
        if (!store_word(uhci, address + 4, next)) {
            walk->aborted = true;
            return;
        }
        if (!(next & LINK_VF)) {
            return;
        }
    }
}

/* Have we been at this queue since something was transferred? Circles are legal (bandwidth
 * reclamation); found as by Brent's algorithm, with an anchor that moves ever later. */
static bool goes_in_circles(struct walk *walk, uint32_t address)
{
    if (address == walk->anchor && walk->anchor_transfers == walk->transfers) {
        return true;
    }
    if (walk->steps >= 2 * walk->anchor_steps || walk->anchor_transfers != walk->transfers) {
        walk->anchor = address;
        walk->anchor_steps = walk->steps;
        walk->anchor_transfers = walk->transfers;
    }
    return false;
}

unsigned uhci_run_frame(struct uhci *uhci)
{
    struct walk walk = {.uhci = uhci, .anchor = LINK_T};
    uint32_t link;

    if (!load_words(uhci, uhci->frame_list + 4 * (uhci->frame % FRAME_LINKS), &link, 1)) {
        return 0;
    }
    while (!(link & LINK_T) && has_time(&walk)) {
        uint32_t address = link & LINK_ADDRESS;

        if (!(link & LINK_Q)) {
            walk.aborted = run_td(&walk, address, &link) == TD_ABORTED;
        } else if (goes_in_circles(&walk, address)) {
            break;
        } else {
            run_queue(&walk, address, &link);
        }
    }
    return walk.transfers;
}
