/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be said of an image: the members of -blockdev's and blockdev-add's object. */
#ifndef DUODM_DM_BLOCK_OPTIONS_H
#define DUODM_DM_BLOCK_OPTIONS_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum block_aio {
    BLOCK_AIO_DEFAULT, /* io_uring where the host has it, else threads */
    BLOCK_AIO_THREADS,
    BLOCK_AIO_URING, /* also what "native" means */
};

enum block_zeroes {
    BLOCK_ZEROES_OFF,
    BLOCK_ZEROES_ON,    /* writes of nothing but zeroes become write-zeroes */
    BLOCK_ZEROES_UNMAP, /* and may give space back */
};

enum block_on_off_auto { BLOCK_AUTO, BLOCK_ON, BLOCK_OFF };

/* Strings owned. */
struct block_options {
    char *driver, *node_name;
    bool read_only, auto_read_only;
    bool direct,
        no_flush;       /* cache.direct: past the page cache; cache.no-flush: flushes do nothing */
    bool write_through; /* each write is on stable storage when it completes. From -drive */
    bool discard;       /* discard=unmap */
    bool force_share;   /* take no notice of locks; read-only */
    enum block_zeroes detect_zeroes;
    enum block_aio aio;
    enum block_on_off_auto locking;
    /* file, host_device */
    char *filename;
    /* raw: the child by reference or by definition. */
    char *file_reference;
    json_t *file_definition;
    uint64_t offset, size; /* raw's window; null-co's size. size UINT64_MAX: all there is */
    bool size_given;
    bool format_guessed; /* -drive without format=: refused if the image looks like another */
    /* null-co */
    bool read_zeroes;
    uint64_t latency_ns;
    /* nbd: uri, or a path, or host and port */
    char *uri, *unix_path, *host, *port, *export_name;
    uint64_t reconnect_delay, open_timeout; /* seconds */
    /* -drive's */
    char *werror, *rerror;
};

/* From a JSON object whose values may be text, as in dotted keys. Errors name the member. */
bool block_options_parse(json_t *object, struct block_options *options, GError **error);
void block_options_clear(struct block_options *options);

#endif
