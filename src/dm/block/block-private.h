/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of dm/block/ (and their unit tests) only. */
#ifndef DUODM_DM_BLOCK_BLOCK_PRIVATE_H
#define DUODM_DM_BLOCK_BLOCK_PRIVATE_H

#include "dm/block/block.h"
#include "dm/block/options.h"
#include "util/tsan.h"

#include <event2/event.h>
#include <pthread.h>
#include <string.h>

struct block_driver;
struct block_pool;
struct block_uring;

struct block_registry {
    struct machine *machine; /* NULL in some tests */
    GPtrArray *backends;     /* of struct block_backend, a reference each */
    GPtrArray *removables;   /* of struct block_removable, not owned */
    GPtrArray *empty_drives; /* of char: names of -drive without a file */
    struct block_pool *pool;
    unsigned next_node; /* number for the next generated node name */
    bool is_inactive;   /* another process has the images: block_inactivate */
};

struct block_backend {
    int references; /* main loop only */
    struct block_registry *registry;
    char *device_name, *node_name; /* device_name: "" for none */
    const char *option;            /* by which the user named it: "-hda"; static. NULL: none did */
    const struct block_driver *driver;
    struct block_options options; /* owned */
    struct block_backend *child;  /* of raw: what it is a window of; a reference. NULL: none */
    uint64_t window;              /* bytes from the protocol's start to offset 0 */
    uint64_t size;                /* bytes, whole sectors; atomic */
    struct block_limits limits;
    bool read_only;    /* as opened: auto-read-only may have made it so */
    bool native_fua;   /* the driver carries out struct block_request.fua */
    void *driver_data; /* of the driver's, which frees it */
    int uring_fd;      /* what io_uring may read and write; -1: only the driver itself can */
    struct block_user *user;
    bool owns_child;        /* raw: the child was defined with it, and goes with it */
    unsigned lock_count;    /* attachments that hold the image's lock */
    bool locked_for_write;  /* by one of them that shares with none */
    bool lock_shared;       /* they share it with other writers */
    unsigned in_flight;     /* requests of all queues; atomic */
    unsigned drain_waiters; /* atomic */
    pthread_mutex_t drain_lock;
    pthread_cond_t drained; /* in_flight fell to 0 */
    GPtrArray *queues;      /* of struct block_queue. Main loop only */
    struct block_stats stats;
    struct block_errors *errors; /* error-policy.c */
};

/* A kind of image. Blocking functions are called in the main loop or in a pool's thread. */
struct block_driver {
    const char *name;
    bool is_protocol; /* can stand alone; raw can't */
    /* Sets size, limits, read_only and so on. */
    bool (*open)(struct block_backend *backend, GError **error);
    void (*close)(struct block_backend *backend);
    /* Carry out the rest of a request (from progress on). 0 or -errno. A pool's thread. */
    int (*execute)(struct block_backend *backend, struct block_request *request);
    /* Instead: begin it. block_request_post tells the end. The submitter's thread. */
    void (*start)(struct block_backend *backend, struct block_request *request);
    /* End all of a queue's requests that can't end by themselves. May be NULL. */
    void (*cancel)(struct block_backend *backend, struct block_queue *queue);
    /* The image's lock, for the time of an attachment. May be NULL. */
    bool (*lock)(struct block_backend *backend, bool write, bool share, GError **error);
    void (*unlock)(struct block_backend *backend);
    bool (*resize)(struct block_backend *backend, uint64_t size, GError **error);
    int64_t (*allocated)(struct block_backend *backend); /* bytes; may be NULL */
};
extern const struct block_driver block_driver_file, block_driver_host_device, block_driver_nbd,
    block_driver_null, block_driver_raw;

/* What a backend's bytes are in the end: the last of its children, or itself. */
static inline struct block_backend *block_protocol(struct block_backend *backend)
{
    while (backend->child) {
        backend = backend->child;
    }
    return backend;
}
/* Make and register a backend of a driver that may be a test's own. Takes over *options. */
struct block_backend *block_open_driver(struct block_registry *registry,
                                        const struct block_driver *driver,
                                        struct block_options *options, struct block_backend *child,
                                        const char *device_name, GError **error);
/* What an image is called where its place matters: its file or address. Caller frees. */
char *block_filename(struct block_backend *backend);

/* Take out of the registry, with a child that was defined with it, though it has a drive's name. No
 * device may use it. */
void block_remove(struct block_backend *backend);

/* queue.c: the end of what start, a pool's thread or a ring began. post: any thread; finish: the
 * queue's thread. */
void block_request_post(struct block_request *request, int result);
void block_request_finish(struct block_request *request, int result);
struct block_backend *block_request_protocol(const struct block_request *request);
/* Give a request to the pool, from progress on. The queue's thread. */
void block_request_execute(struct block_request *request);

/* iov.c. An image's bytes and a guest's memory race if the guest wants that; ThreadSanitizer does
 * not know it of what system calls and libraries write, so in its builds all goes through a buffer.
 */
#ifdef WITH_TSAN
#define BLOCK_ALWAYS_BOUNCE true
#else
#define BLOCK_ALWAYS_BOUNCE false
#endif
/* Zeroes into a request's iovecs, from `skip` bytes on. */
void block_iov_zero(const struct block_request *request, uint64_t skip);
/* Copy between a buffer and a request's iovecs, from `skip` bytes on. */
void block_iov_copy(const struct block_request *request, uint64_t skip, char *buffer,
                    uint64_t length, bool to_buffer);

/* pool.c */
struct block_pool *block_pool_new(void);
void block_pool_free(struct block_pool *pool); /* nothing may be in flight */
void block_pool_submit(struct block_pool *pool, struct block_request *request);

/* uring.c, the ring of one queue. NULL and an error where the host has no io_uring. */
struct block_uring *block_uring_new(struct block_queue *queue, struct event_base *base, int fd,
                                    GError **error);
void block_uring_free(struct block_uring *ring);
/* False: not for a ring, or no room; give it to the pool. */
bool block_uring_submit(struct block_uring *ring, struct block_request *request);
void block_uring_flush(struct block_uring *ring);
/* Finish what has completed; how many. */
unsigned block_uring_reap(struct block_uring *ring);
/* Readable while there is something to reap. */
int block_uring_fd(const struct block_uring *ring);

/* queue.c. For the ring's event: completions came. */
void block_queue_on_completions(struct block_queue *queue);
/* Wait for a completion, and handle it. The queue's thread, or when that does not run. */
void block_queue_wait(struct block_queue *queue);
struct event_base *block_queue_base(const struct block_queue *queue);

/* error-policy.c. make: false where there is no machine to tell. */
struct block_errors *block_errors_new(struct block_backend *backend);
void block_errors_free(struct block_errors *errors);
/* As query-block's io-status. */
const char *block_errors_status(const struct block_backend *backend);
/* The machine goes on: what went wrong is forgotten. */
void block_errors_reset(struct block_backend *backend);

/* backend.c: a request of any queue began or ended. */
void block_backend_begin(struct block_backend *backend);
void block_backend_end(struct block_backend *backend);

#endif
