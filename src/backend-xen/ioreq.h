/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an I/O request of Xen's asks for, carried out. Knows no hypercall: tests feed it. */
#ifndef DUODM_BACKEND_XEN_IOREQ_H
#define DUODM_BACKEND_XEN_IOREQ_H

#include "memory/address-space.h"

#include <xen/xen.h>
/* After what makes it complete. */
#include <xen/hvm/ioreq.h>

/* Who answers. */
struct ioreq_target {
    struct address_space *memory, *io;
    uint32_t (*config_read)(void *opaque, unsigned bus, unsigned devfn, unsigned offset,
                            unsigned size);
    void (*config_write)(void *opaque, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                         uint32_t value);
    void (*invalidate)(void *opaque); /* the guest's pages are others: forget mappings */
    void (*set_time_offset)(void *opaque, int64_t seconds);
    void *opaque;
};

/* Elements of a repeated access beyond which a request is taken for broken; Xen makes at most a
 * page of them. */
#define IOREQ_COUNT_MAX 65536u

/*
 * Carry out a request: a copy that nobody else changes. A read without data_is_ptr leaves its value
 * in request->data. Whatever the request says, it ends; one that makes no sense reads ones, and is
 * logged as a guest error.
 */
void ioreq_perform(const struct ioreq_target *target, struct ioreq *request);

/*
 * Carry out the buffered requests that wait, in order. True if there were any. Only one thread at a
 * time; Xen may add more meanwhile, which are carried out too, up to a ring's worth.
 */
bool ioreq_drain_buffer(const struct ioreq_target *target, struct buffered_iopage *page);

/* Does none wait? Racy, cheap. */
static inline bool ioreq_buffer_is_empty(const struct buffered_iopage *page)
{
    return __atomic_load_n(&page->read_pointer, __ATOMIC_RELAXED) ==
           __atomic_load_n(&page->write_pointer, __ATOMIC_ACQUIRE);
}

#endif
