/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The xen engine's own records, and which file does what with them. */
#ifndef DUODM_BACKEND_XEN_XEN_MACHINE_H
#define DUODM_BACKEND_XEN_XEN_MACHINE_H

#include "backend-xen/xen-libraries.h"
#include "dm/machine.h"
#include "mapcache/mapcache.h"
#include "memory/listener.h"

#include <pthread.h>
/* After those that make them complete. */
#include <xen/hvm/ioreq.h>

#define XEN_PAGE_SHIFT 12
#define XEN_PAGE_SIZE  (1ull << XEN_PAGE_SHIFT)

/* -accel xen,... */
struct xen_options {
    uint32_t domid;         /* -xen-domid */
    bool restrict_domid;    /* -xen-domid-restrict */
    uint64_t mapcache_size; /* bytes of windows onto the guest's memory */
    uint32_t poll_us; /* how long to watch for a vCPU's next request before sleeping; 0: never */
};

struct xen_machine;

/* An event channel from the domain with a thread that waits for it: one for each vCPU, and one for
 * buffered requests. channel.c */
struct xen_channel {
    struct xen_machine *xen;
    char name[16];
    xenevtchn_handle *events; /* this thread's alone; NULL: not open */
    evtchn_port_t port;       /* from the domain */
    evtchn_port_t wake_port;  /* from ourselves: look at paused and quit */
    evtchn_port_t wake;       /* its other end, of xen->waker */
    pthread_t thread;
    bool has_thread;
    int thread_id; /* of Linux; atomic; 0: not yet */
    /* The port was notified. In the channel's thread. */
    void (*handle)(struct xen_channel *channel);
    /* Is there something to handle? In the channel's thread. NULL: an event tells, nothing else. */
    bool (*is_due)(const struct xen_channel *channel);
    unsigned misses;  /* watches in vain since the last one that was not, up to a limit */
    unsigned skip;    /* events after which there is no watch */
    uint64_t watched; /* handled without an event; atomic: written by the channel's thread */
    /* The thread is let go on: what was held back comes first. NULL: nothing is. */
    void (*resumed)(struct xen_channel *channel);
};

struct xen_vcpu {
    struct xen_channel channel;
    unsigned index;
    bool answer_held;      /* its request was carried out, but not answered yet */
    struct ioreq answer;   /* then */
    uint64_t requests[16]; /* carried out so far, by type; atomic: written by its own thread */
};

struct xen_ranges;

struct xen_machine {
    struct machine *machine;
    domid_t domid;
    bool wants_restriction; /* -xen-domid-restrict */
    bool restricted;        /* rights were dropped: only the device model's calls are left */
    uint32_t poll_us;       /* of struct xen_options */

    xc_interface *control;
    xendevicemodel_handle *devices;
    xenforeignmemory_handle *memory;

    /* The ioreq server. ioreq-server.c */
    bool has_server;
    ioservid_t server;
    xenforeignmemory_resource_handle *pages;
    struct buffered_iopage *buffered;
    struct shared_iopage *requests;

    /* Who runs. channel.c */
    struct xen_vcpu *vcpus;
    unsigned vcpu_count; /* as the domain may have at most */
    struct xen_channel buffer_channel;
    pthread_mutex_t buffer_lock; /* who takes from *buffered; under it, device guards */
    xenevtchn_handle *waker;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* paused, quit, running_count */
    bool paused, quit;      /* written under lock, read by atomics too */
    unsigned running_count; /* threads between unpark and park */

    /* Memory. guest-memory.c */
    struct mapcache *mapcache;
    GPtrArray *adopted;      /* of struct adopted_ram; topology lock */
    uint64_t next_free_page; /* of the guest's physical pages, above all RAM */

    struct memory_listener memory_listener, io_listener; /* io-listener.c */

    struct io_task suspend_task;
    struct xen_store *store; /* NULL: not connected. store.c */
};

static inline struct xen_machine *xen_of(const struct machine *machine)
{
    return machine->engine_data;
}

/* engine-xen.c: an error of a call: "xen: domain 3: WHAT: strerror(errno)". Returns false. */
bool xen_fail(const struct xen_machine *xen, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The same as a warning. */
void xen_warn(const struct xen_machine *xen, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* ioreq-server.c */
bool xen_create_server(struct xen_machine *xen, GError **error);
void xen_destroy_server(struct xen_machine *xen);
/* Carry out the buffered requests that wait. Any thread. */
void xen_drain_buffer(struct xen_machine *xen);
/* Has the domain run, here or before it was restored? What it did was to ask for something. */
bool xen_has_run(const struct xen_machine *xen);

/* channel.c */
bool xen_channel_open(struct xen_channel *channel, struct xen_machine *xen, const char *name,
                      evtchn_port_t remote, GError **error);
/* The thread has ended. */
void xen_channel_close(struct xen_channel *channel);
bool xen_start_threads(struct xen_machine *xen, GError **error);
void xen_quit_threads(struct xen_machine *xen);
void xen_resume(struct machine *machine);
void xen_pause(struct machine *machine);
/* Should a channel's thread stop serving? */
bool xen_must_leave(const struct xen_machine *xen);

/* guest-memory.c */
bool xen_create_memory(struct xen_machine *xen, uint64_t mapcache_size, GError **error);
void xen_destroy_memory(struct xen_machine *xen);
bool xen_make_ram(struct machine *machine, GError **error);
bool xen_adopt_ram(struct machine *machine, struct memory_region *region, GError **error);
void xen_abandon_ram(struct machine *machine, struct memory_region *region);
/* A section of adopted memory that is to be seen at a guest address: put it there. False without an
 * error: it can't be in two places, its accesses have to come to us. */
bool xen_place_ram(struct xen_machine *xen, const struct listener_section *section, bool *placed,
                   GError **error);
/* It is to be seen there no more. False: it was not put there by xen_place_ram. */
bool xen_displace_ram(struct xen_machine *xen, const struct listener_section *section);
void xen_sync_dirty_ram(struct xen_machine *xen);
/* A part of RAM that guests can't write, for as long as it is to be seen so. */
void xen_set_read_only(struct xen_machine *xen, const struct listener_section *section,
                       bool read_only);

/* io-listener.c */
bool xen_register_listeners(struct xen_machine *xen, GError **error);
void xen_unregister_listeners(struct xen_machine *xen);
bool xen_add_pci_function(struct machine *machine, unsigned devfn, GError **error);
void xen_remove_pci_function(struct machine *machine, unsigned devfn);

/* interrupts.c */
void xen_set_gsi(void *machine, unsigned gsi, bool level);
void xen_set_pci_pin(void *machine, unsigned number, bool level);
void xen_set_pci_link(struct machine *machine, unsigned link, unsigned irq);
bool xen_is_pirq_message(const struct msi_message *message);
bool xen_deliver_msi(struct machine *machine, const struct msi_message *message);

/* passthrough/passthrough.c */
extern const struct device_class xen_passthrough_class;

/* registers.c: for monitors. False where Xen does not let us look (any more). */
bool xen_get_state(struct vcpu *vcpu, struct x86_state *state);
bool xen_translate(struct vcpu *vcpu, uint64_t address, uint64_t *physical);

/* store.c: xenstore. */
bool xen_store_open(struct xen_machine *xen, GError **error);
void xen_store_close(struct xen_machine *xen);
/* Tell the toolstack: "running" or "paused". */
void xen_store_write_state(struct xen_machine *xen, const char *state);
/* The guest set its clock: seconds that it is ahead of before. */
void xen_store_add_time_offset(struct xen_machine *xen, int64_t seconds);

/* Somebody who is called, in the main loop, when what is below path may have changed, and once
 * after the watch began. It may end its watch. The path and the rest are the owner's. */
struct xen_store_watch {
    char *path;
    void (*changed)(void *opaque);
    void *opaque;
    char token[12]; /* the store's */
};
bool xen_store_watch(struct xen_machine *xen, struct xen_store_watch *watch, GError **error);
/* One that did not begin, or ended with the store, is none. */
void xen_store_unwatch(struct xen_machine *xen, struct xen_store_watch *watch);

/* Does the toolstack say that the domain has this function of the host's ("0000:00:05.0")? Not one
 * that it takes away just now. The list is below XEN_STORE_FUNCTIONS, with the domain's number. */
#define XEN_STORE_FUNCTIONS "/local/domain/0/backend/pci/%u/0"
enum xen_store_answer { XEN_STORE_UNKNOWN, XEN_STORE_NO, XEN_STORE_YES };
enum xen_store_answer xen_store_has_function(struct xen_machine *xen, const char *name);

#endif
