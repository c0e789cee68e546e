/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images. A *backend* is an opened image (a file, a block device, an NBD export, or a window
 * of one) with a name; a *queue* is one thread's way to it. A device opens as many queues as it has
 * threads (or virtqueues), submits requests to them and hears of their ends on its own event loop:
 *
 *     backend = block_find(machine->blocks, "drive0")
 *     block_attach(backend, &user, error)
 *     queue = block_queue_new(backend, base, &handler, error)
 *     block_queue_submit(queue, &request)...; block_queue_kick(queue)
 *     ... request.complete(&request, 0 or -errno)
 *     block_queue_free(queue); block_detach(backend)
 *
 * No guest memory is touched but through the iovecs of a request.
 */
#ifndef DUODM_DM_BLOCK_BLOCK_H
#define DUODM_DM_BLOCK_BLOCK_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct block_backend;
struct block_queue;
struct block_registry;
struct event_base;
struct machine;

#define BLOCK_SECTOR 512u /* bytes: the unit of sizes as guests see them */

enum block_operation {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,        /* what was completed before is on stable storage after */
    BLOCK_DISCARD,      /* the content is of no use any more; what reads return is open */
    BLOCK_WRITE_ZEROES, /* reads return zeroes afterwards */
};
#define BLOCK_OPERATION_COUNT 5

/* One request, embedded in what the caller keeps of it. Not to be touched until complete() ran. */
struct block_request {
    enum block_operation operation;
    uint64_t offset;         /* bytes */
    uint64_t length;         /* bytes; of reads and writes: the sum of iov */
    const struct iovec *iov; /* reads and writes; not owned, and left as it is */
    unsigned iov_count;
    bool fua;       /* writes: on stable storage before it completes */
    bool may_unmap; /* write-zeroes: space may be given back */
    /* Called in the queue's thread, never from within submit. result: 0 or -errno. */
    void (*complete)(struct block_request *request, int result);

    /* Private to dm/block. */
    struct block_queue *queue;
    struct block_request *next;
    uint64_t progress; /* bytes of a read or write that are done */
    uint64_t started;  /* ns, monotonic */
    uint64_t window;   /* bytes from the image's start to offset 0 */
    int result;
    bool sync;                  /* fua, or the image is written through */
    bool flush_after;           /* a flush has to follow */
    bool cancelled;             /* its queue is about to go */
    enum block_operation asked; /* operation as submitted: it may have become another */
    void *bounce;               /* of the driver's */
};

/* Bounds of what a backend takes. A request past them fails with -EINVAL, so a device tells them
 * to its guest and checks. */
struct block_limits {
    uint32_t request_alignment; /* bytes, power of two: of offset and length */
    uint32_t max_zeroes;        /* bytes of one discard or write-zeroes; a multiple of a sector */
    bool can_discard;           /* discards do something */
};

/* The user of a backend: one device. Callbacks run in the main loop, vCPUs may run meanwhile. */
struct block_user {
    void *opaque;
    const char *device_id; /* for query-block's qdev; NULL: none */
    bool writes;           /* takes the image for writing */
    bool share_rw;         /* others may write it too */
    /* The size changed. May be NULL. */
    void (*resized)(void *opaque);
};

struct block_queue_handler {
    void *opaque;
    /* Some requests were completed in a row: a good moment for one interrupt. May be NULL. */
    void (*batch_end)(void *opaque);
};

/* Statistics, as query-blockstats has them. Read without a lock. */
struct block_stats {
    uint64_t bytes[BLOCK_OPERATION_COUNT];
    uint64_t operations[BLOCK_OPERATION_COUNT];
    uint64_t time_ns[BLOCK_OPERATION_COUNT];
    uint64_t failed[BLOCK_OPERATION_COUNT];
    uint64_t invalid[BLOCK_OPERATION_COUNT];
    uint64_t merged[BLOCK_OPERATION_COUNT];
    uint64_t highest_write; /* end of the highest write, bytes */
};

enum block_error_policy {
    BLOCK_ERROR_REPORT, /* the guest gets the error */
    BLOCK_ERROR_IGNORE, /* the guest hears of success */
    BLOCK_ERROR_STOP,   /* the machine pauses; the device tries again when it goes on */
    BLOCK_ERROR_ENOSPC, /* stop when the space has run out, else report */
    BLOCK_ERROR_AUTO,   /* the default: enospc for writes, report for reads */
};
struct block_error_policies {
    enum block_error_policy read, write;
};

/* Registry: all backends of a machine, and the threads they share. Main loop only. */
struct block_registry *block_registry_new(struct machine *machine);
/* All users must be gone. */
void block_registry_free(struct block_registry *registry);

/* Open from -blockdev's JSON (drive.h makes it of the other forms). device_name: of -drive, NULL:
 * none. Registered under its names until block_delete or the registry's end. */
struct block_backend *block_open(struct block_registry *registry, json_t *options,
                                 const char *device_name, GError **error);
/* Messages say by which option it came: "-hda". Static. */
void block_set_option(struct block_backend *backend, const char *option);
/* By -drive's id or by node name; not a new reference. Names of nodes come second. */
struct block_backend *block_find(struct block_registry *registry, const char *name, GError **error);
/* Take a backend out of the registry; fails while a device or another node uses it. */
bool block_delete(struct block_registry *registry, const char *node_name, GError **error);

struct block_backend *block_ref(struct block_backend *backend);
void block_unref(struct block_backend *backend); /* NULL is fine. Main loop */

const char *block_device_name(const struct block_backend *backend); /* "": none */
const char *block_node_name(const struct block_backend *backend);
uint64_t block_size(const struct block_backend *backend); /* bytes. Any thread */
bool block_is_read_only(const struct block_backend *backend);
bool block_is_write_back(const struct block_backend *backend); /* has a cache that needs flushes */
/* What the image takes and can do: constant. The drive's werror and rerror. Its counters, which are
 * added to atomically. */
const struct block_limits *block_get_limits(const struct block_backend *backend);
struct block_error_policies block_get_policies(const struct block_backend *backend);
struct block_stats *block_get_stats(struct block_backend *backend);

/* One user at a time. Takes the file's lock. *user must outlive the attachment. */
bool block_attach(struct block_backend *backend, struct block_user *user, GError **error);
void block_detach(struct block_backend *backend);
/*
 * Leave the images to another process: what was written reaches them, locks are let go. What is
 * attached meanwhile is not locked either. Nothing may be submitted until block_activate, which
 * takes the locks again; on failure all is as before. For migration. Main loop.
 */
bool block_inactivate(struct block_registry *registry, GError **error);
bool block_activate(struct block_registry *registry, GError **error);
/* New size in bytes, rounded down to a sector; tells the user. */
bool block_resize(struct block_backend *backend, uint64_t size, GError **error);
/* Wait until nothing is in flight. New requests must have been stopped by their submitters; those
 * of queues on the caller's own loop are completed from within. Main loop. */
void block_drain(struct block_backend *backend);

/* A queue that completes on base, whose thread alone may use it. Any thread may make it. */
struct block_queue *block_queue_new(struct block_backend *backend, struct event_base *base,
                                    const struct block_queue_handler *handler, GError **error);
/* Waits for what is in flight; NBD requests that wait for a lost server end with -ECANCELED. In the
 * queue's thread, or when that thread does not run. NULL is fine. */
void block_queue_free(struct block_queue *queue);
/* Take a request; it starts at the latest with the next kick. */
void block_queue_submit(struct block_queue *queue, struct block_request *request);
/* Start all that was submitted; completes what is done already. */
void block_queue_kick(struct block_queue *queue);
/* End with -ECANCELED what can't end soon by itself: what waits for a server that is lost. The
 * queue's thread. */
void block_queue_cancel(struct block_queue *queue);
/* Requests that did not complete yet. */
unsigned block_queue_in_flight(const struct block_queue *queue);

/*
 * What a device goes on with, of the result of a request (0 or a negative errno): 0 if it was done,
 * or its error is to be ignored; -ECANCELED if it is to be submitted again when the machine goes
 * on; else what is reported to the guest. Sends BLOCK_IO_ERROR, and pauses the machine if the
 * policy says so. Any thread.
 */
int block_settle_error(struct block_backend *backend, struct block_error_policies policies,
                       bool is_write, int result);
/* A policy from its text (report, ignore, stop, enospc, auto). */
bool block_error_policy_parse(const char *text, bool is_write, enum block_error_policy *policy,
                              GError **error);

/* query-block, query-blockstats, query-named-block-nodes. */
json_t *block_query(struct block_registry *registry);
json_t *block_query_stats(struct block_registry *registry);
json_t *block_query_nodes(struct block_registry *registry);

#endif
