/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vfio-user protocol 0.1 (the specification is in libvfio-user's and QEMU's documentation): its
 * messages as they are on the wire, and the checks of what a server sends. Numbers are in the
 * host's byte order, structures have no padding. No input and output here: user-connection.h.
 */
#ifndef DUODM_VFIO_USER_PROTOCOL_H
#define DUODM_VFIO_USER_PROTOCOL_H

#include "vfio/vfio-device.h"

#include <glib.h>

#define VFIO_USER_MAJOR 0u
#define VFIO_USER_MINOR 1u

enum vfio_user_command {
    VFIO_USER_VERSION = 1,
    VFIO_USER_DMA_MAP = 2,
    VFIO_USER_DMA_UNMAP = 3,
    VFIO_USER_DEVICE_GET_INFO = 4,
    VFIO_USER_DEVICE_GET_REGION_INFO = 5,
    VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
    VFIO_USER_DEVICE_SET_IRQS = 8,
    VFIO_USER_REGION_READ = 9,
    VFIO_USER_REGION_WRITE = 10,
    VFIO_USER_DMA_READ = 11,  /* by the server */
    VFIO_USER_DMA_WRITE = 12, /* by the server */
    VFIO_USER_DEVICE_RESET = 13,
};
/* For messages to people: "DMA_MAP". */
const char *vfio_user_command_name(unsigned command);

#define VFIO_USER_TYPE     0x0fu /* of flags */
#define VFIO_USER_REPLY    0x01u /* as type; a command is 0 */
#define VFIO_USER_NO_REPLY 0x10u
#define VFIO_USER_ERROR    0x20u

struct vfio_user_header {
    uint16_t id;      /* the sender's choice, echoed in the reply */
    uint16_t command; /* enum vfio_user_command */
    uint32_t size;    /* bytes of the message, with this header */
    uint32_t flags;
    uint32_t error; /* errno, in a reply with VFIO_USER_ERROR; or 0 */
};

struct vfio_user_dma_map {
    uint32_t argsz, flags; /* bit 0: readable, 1: writable */
    uint64_t offset;       /* in the file that comes with it; 0 if none does */
    uint64_t address, size;
};

struct vfio_user_dma_unmap {
    uint32_t argsz, flags; /* flags: 0 */
    uint64_t address, size;
};

struct vfio_user_region_access {
    uint64_t offset;
    uint32_t region, count; /* count: bytes, of data that follow a write, or the reply to a read */
};

struct vfio_user_dma_access {
    uint64_t address, count; /* as above */
};

/* What we take from a server at most. */
#define VFIO_USER_FDS_MAX     8u         /* in one message */
#define VFIO_USER_DATA_MAX    (1u << 20) /* bytes in one transfer: max_data_xfer_size */
#define VFIO_USER_MESSAGE_MAX (VFIO_USER_DATA_MAX + 64u) /* bytes */

/*
 * Messages out of a stream of bytes and descriptors. A message is taken part by part, as many
 * bytes as it asks for, so that descriptors are those of the message whose bytes they came with.
 */
struct vfio_user_framer {
    uint8_t *buffer; /* grows with what a header says, up to VFIO_USER_MESSAGE_MAX */
    size_t room, filled;
    bool is_broken;             /* for good */
    int fds[VFIO_USER_FDS_MAX]; /* owned, until taken */
    unsigned fd_count;
};

enum vfio_user_framing { VFIO_USER_PART, VFIO_USER_WHOLE, VFIO_USER_BROKEN };

void vfio_user_framer_init(struct vfio_user_framer *framer);
void vfio_user_framer_clear(struct vfio_user_framer *framer); /* closes what was not taken */
/* Where the next bytes go, and how many are wanted: > 0, or 0 if it is broken. Not while a message
 * is whole. */
uint8_t *vfio_user_framer_space(struct vfio_user_framer *framer, size_t *wanted);
/* So many of them came. BROKEN: *problem says what (a string constant). */
enum vfio_user_framing vfio_user_framer_added(struct vfio_user_framer *framer, size_t length,
                                              const char **problem);
/* A descriptor came along; false, and it is closed, if the message has more than it may. */
bool vfio_user_framer_add_fd(struct vfio_user_framer *framer, int fd);
/* The whole message: its header, and where its payload is until the next call. */
struct vfio_user_header vfio_user_framer_get(const struct vfio_user_framer *framer,
                                             const uint8_t **payload, size_t *length);
/* Done with it: close what descriptors are left, begin the next. */
void vfio_user_framer_next(struct vfio_user_framer *framer);

/* What both sides can do. */
struct vfio_user_capabilities {
    unsigned message_fds; /* descriptors that the server takes in one message */
    uint64_t data_size;   /* bytes that it takes in one transfer */
    uint64_t dma_maps;    /* mappings at a time */
    uint64_t page_sizes;  /* bit n: mappings of 2^n bytes */
    int twin_socket;      /* index of the descriptor by which it sends commands; -1: none */
};

/* The payload of our VERSION; caller frees. */
GByteArray *vfio_user_make_version(void);
/* Check the server's, which came with so many descriptors. Errors say what is wrong with it. */
bool vfio_user_parse_version(const uint8_t *payload, size_t length, unsigned fd_count,
                             struct vfio_user_capabilities *capabilities, GError **error);

/*
 * Replies about the device. Each is checked whole; what is too large is cut down to what PCI has.
 * needed: bytes of payload that a whole reply would have, if it is more than came (ask again).
 */
bool vfio_user_parse_device_info(const uint8_t *payload, size_t length, uint32_t *flags,
                                 unsigned *regions, unsigned *irqs, GError **error);
bool vfio_user_parse_region_info(const uint8_t *payload, size_t length, unsigned index,
                                 struct vfio_region *region, size_t *needed, GError **error);
bool vfio_user_parse_irq_info(const uint8_t *payload, size_t length, unsigned index,
                              uint32_t *flags, unsigned *count, GError **error);

/* A command of the server's: DMA_READ or DMA_WRITE. 0, or the errno to answer with. *data: of a
 * write, inside of payload. */
int vfio_user_parse_dma_access(unsigned command, const uint8_t *payload, size_t length,
                               struct vfio_user_dma_access *access, const uint8_t **data);

#endif
