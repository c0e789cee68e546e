/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of a migration only. */
#ifndef DUODM_DM_SNAPSHOT_MIGRATION_PRIVATE_H
#define DUODM_DM_SNAPSHOT_MIGRATION_PRIVATE_H

#include "dm/machine.h"
#include "dm/snapshot/migration.h"
#include "dm/snapshot/snapshot-stream.h"
#include "util/own-path.h"

#include <pthread.h>
#include <sys/types.h>

enum migration_status {
    MIGRATION_NONE,
    MIGRATION_SETUP,     /* connecting */
    MIGRATION_ACTIVE,    /* the machine runs (or may) while memory is sent; or: receiving */
    MIGRATION_DEVICE,    /* the machine stands */
    MIGRATION_COMPLETED, /* this and the following: over */
    MIGRATION_FAILED,
    MIGRATION_CANCELLED,
};

/* The other end, as a URI names it. */
struct migration_address {
    char *uri;
    int fd;              /* open already, or listening; -1: to be connected by the thread */
    bool is_listening;   /* accept first */
    bool is_regular;     /* fd is a file */
    char *path;          /* unix */
    struct own_path own; /* of the socket that listens */
    char *host, *port;   /* tcp */
    GPid child;          /* exec; 0: none */
};
bool migration_address_open(struct migration_address *address, struct machine *machine,
                            const char *uri, bool to_write, GError **error);
/* A child of exec: that is still there is killed. */
void migration_address_clear(struct migration_address *address);
/* In the thread: connect or accept. It and the next one end when cancel_fd can be read. */
bool migration_address_connect(struct migration_address *address, int cancel_fd, GError **error);
/* In the thread, at the end: did the child of exec: succeed? Closes fd. */
bool migration_address_finish(struct migration_address *address, int cancel_fd, GError **error);

/* What was sent. Written by the thread, read by anyone: atomic. */
struct migration_counters {
    uint64_t total, remaining;    /* bytes of memory */
    uint64_t pages, zero_pages;   /* that were sent */
    uint64_t passes;              /* over memory */
    uint64_t started, ended;      /* ns, monotonic; 0: not yet */
    uint64_t stopped, restarted;  /* the same: when the machine stopped */
    uint64_t pass_bytes, pass_ns; /* of the last pass: what the rate is made of */
};

struct migration {
    struct machine *machine;
    struct migration_parameters parameters;
    enum migration_status status;
    bool is_incoming;
    GError *error; /* of MIGRATION_FAILED */
    struct migration_address address;
    struct snapshot_channel channel;
    struct migration_counters counters;

    pthread_t thread;
    bool has_thread;
    bool cancelled; /* by the user */
    /* The thread asks the main loop for something (task), and waits for the answer. */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool has_answer, answer, must_end; /* must_end: nobody answers any more */
    struct io_task task, done;
    GByteArray *state;  /* of devices and vCPUs */
    bool devices_only;  /* receiving: its maker kept the memory, and says itself when it runs */
    bool must_announce; /* received, and not run yet */
    bool finished;      /* the thread's work is done well */
    GError *thread_error;

    /* While sending. */
    bool logging;    /* the dirty log is on */
    bool is_stopped; /* the machine stands for us */
    enum run_state state_before;
};

/* The thread: have the main loop run `run(opaque)`, which calls migration_answer; false: the end
 * has come, or the answer was so. */
bool migration_ask(struct migration *migration, void (*run)(void *opaque));
void migration_answer(struct migration *migration, bool answer);
void migration_set_status(struct migration *migration, enum migration_status status);
/* Start the thread, and the other's end. */
bool migration_begin_thread(struct migration *migration, void *(*run)(void *opaque),
                            void (*done)(void *opaque), GError **error);
void migration_join(struct migration *migration);

/* Memory that a snapshot holds. Pages are of 4 KiB; the last may go past the region's size, but not
 * past the host memory behind it. */
#define SNAPSHOT_PAGE 4096u
unsigned snapshot_block_count(const struct machine *machine);
struct memory_region *snapshot_block(const struct machine *machine, unsigned index);
uint64_t snapshot_block_pages(const struct machine *machine, unsigned index);

/* send-memory.c: one pass, of all pages or of those written since the last. The thread's. */
bool migration_send_head(struct migration *migration, GError **error);
bool migration_send_memory(struct migration *migration, bool all, GError **error);
/* Bytes that a pass would send now. */
uint64_t migration_count_dirty(struct migration *migration);
/* receive.c: all that comes from the channel: memory into its place, the rest into state. A whole
 * machine, or (from who keeps its memory) its devices: the first bytes tell. The thread's. */
bool migration_read(struct migration *migration, GError **error);
/* receive-memory.c: what HEAD says of memory, and a record of pages or zeroes. The thread's. */
bool snapshot_receive_head(struct machine *machine, const uint8_t *payload, size_t length,
                           GError **error);
bool snapshot_receive_pages(struct machine *machine, struct snapshot_channel *channel,
                            const struct snapshot_record *record, GError **error);
bool snapshot_receive_zeroes(struct machine *machine, const struct snapshot_record *record,
                             const uint8_t *payload, GError **error);

#endif
