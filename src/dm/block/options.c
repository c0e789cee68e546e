/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the object of -blockdev to struct block_options: one table of members. */
#include "dm/block/options.h"
#include "dm/nearest-word.h"
#include "dm/property.h"
#include "util/error.h"

#include <string.h>

#define DEPTH_MAX 3 /* of nested objects: "server", and what -drive's file.* adds */

enum option_kind { KIND_TEXT, KIND_BOOL, KIND_NUMBER, KIND_SIZE, KIND_CHOICE };

/* Which drivers know a member. */
#define FOR_FILE 1u
#define FOR_NBD  2u
#define FOR_NULL 4u
#define FOR_RAW  8u
#define FOR_ALL  15u

static const struct {
    const char *name;
    unsigned mask;
} drivers[] = {
    {"file", FOR_FILE},    {"host_device", FOR_FILE}, {"nbd", FOR_NBD},
    {"null-co", FOR_NULL}, {"raw", FOR_RAW},
};

/* Words and the numbers that they mean, in the order of the enum. */
static const char *const discard_words[] = {"ignore", "unmap", NULL};
static const char *const discard_other_words[] = {"off", "on", NULL};
static const char *const zeroes_words[] = {"off", "on", "unmap", NULL};
static const char *const aio_words[] = {"", "threads", "io_uring", "native", NULL};
static const char *const locking_words[] = {"auto", "on", "off", NULL};
static const char *const server_words[] = {"unix", "inet", NULL};

struct option_row {
    const char *key; /* with dots for members of members */
    unsigned drivers;
    enum option_kind kind;
    size_t offset; /* in struct block_options; SIZE_MAX: checked, not kept */
    const char *const *words, *const *other_words;
};

#define ROW(key_, drivers_, kind_, field_)                                                         \
    {                                                                                              \
        key_, drivers_, kind_, offsetof(struct block_options, field_), NULL, NULL                  \
    }
#define CHOICE(key_, drivers_, field_, words_, other_)                                             \
    {                                                                                              \
        key_, drivers_, KIND_CHOICE, offsetof(struct block_options, field_), words_, other_        \
    }

static const struct option_row rows[] = {
    ROW("driver", FOR_ALL, KIND_TEXT, driver),
    ROW("node-name", FOR_ALL, KIND_TEXT, node_name),
    ROW("read-only", FOR_ALL, KIND_BOOL, read_only),
    ROW("auto-read-only", FOR_ALL, KIND_BOOL, auto_read_only),
    ROW("force-share", FOR_ALL, KIND_BOOL, force_share),
    ROW("cache.direct", FOR_ALL, KIND_BOOL, direct),
    ROW("cache.no-flush", FOR_ALL, KIND_BOOL, no_flush),
    ROW("cache.writethrough", FOR_ALL, KIND_BOOL, write_through),
    CHOICE("discard", FOR_ALL, discard, discard_words, discard_other_words),
    CHOICE("detect-zeroes", FOR_ALL, detect_zeroes, zeroes_words, NULL),
    ROW("werror", FOR_ALL, KIND_TEXT, werror),
    ROW("rerror", FOR_ALL, KIND_TEXT, rerror),
    ROW("filename", FOR_FILE, KIND_TEXT, filename),
    CHOICE("aio", FOR_FILE, aio, aio_words, NULL),
    CHOICE("locking", FOR_FILE, locking, locking_words, NULL),
    ROW("offset", FOR_RAW, KIND_SIZE, offset),
    ROW("format-guessed", FOR_RAW, KIND_BOOL, format_guessed),
    ROW("size", FOR_RAW | FOR_NULL, KIND_SIZE, size),
    ROW("read-zeroes", FOR_NULL, KIND_BOOL, read_zeroes),
    ROW("latency-ns", FOR_NULL, KIND_NUMBER, latency_ns),
    ROW("uri", FOR_NBD, KIND_TEXT, uri),
    {"server.type", FOR_NBD, KIND_CHOICE, SIZE_MAX, server_words, NULL},
    ROW("server.path", FOR_NBD, KIND_TEXT, unix_path),
    ROW("server.host", FOR_NBD, KIND_TEXT, host),
    ROW("server.port", FOR_NBD, KIND_TEXT, port),
    ROW("export", FOR_NBD, KIND_TEXT, export_name),
    ROW("reconnect-delay", FOR_NBD, KIND_NUMBER, reconnect_delay),
    ROW("open-timeout", FOR_NBD, KIND_NUMBER, open_timeout),
};

static const struct option_row *find_row(const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (g_str_equal(rows[i].key, key)) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool fail_key(const char *key, unsigned driver, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL, *all = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].drivers & driver && !g_str_equal(rows[i].key, "format-guessed")) {
            g_ptr_array_add(names, (void *)rows[i].key);
        }
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(key, (const char *const *)names->pdata);
    all = g_strjoinv(", ", (char **)names->pdata);
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "an image of this driver has no '%s'%s (it has %s)", key, hint, all);
}

static bool set_choice(const struct option_row *row, void *field, const char *text, GError **error)
{
    g_autofree char *valid = g_strjoinv(", ", (char **)row->words);

    for (int i = 0; row->words[i]; i++) {
        if (*text && (g_str_equal(row->words[i], text) ||
                      (row->other_words && g_str_equal(row->other_words[i], text)))) {
            if (field && row->offset == offsetof(struct block_options, discard)) {
                *(bool *)field = i;
            } else if (field) {
                *(int *)field = i;
            }
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' is not valid: one of %s is", text,
                      *valid == ',' ? valid + 2 : valid);
}

static bool set_row(const struct option_row *row, struct block_options *options, const char *text,
                    GError **error)
{
    void *field = row->offset == SIZE_MAX ? NULL : (char *)options + row->offset;

    g_assert(field || row->kind == KIND_CHOICE);
    switch (row->kind) {
    case KIND_TEXT:
        g_free(*(char **)field);
        *(char **)field = g_strdup(text);
        return true;
    case KIND_BOOL:
        return parse_bool(text, field, error);
    case KIND_NUMBER:
        return parse_number(text, field, error);
    case KIND_SIZE:
        options->size_given |= row->offset == offsetof(struct block_options, size);
        return parse_size(text, 'B', field, error);
    case KIND_CHOICE:
        return set_choice(row, field, text, error);
    }
    return false;
}

/* A scalar as the command line would have it; NULL: no scalar. Caller frees. */
static char *scalar_text(json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return g_strdup(json_string_value(value));
    case JSON_INTEGER:
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_TRUE:
        return g_strdup("on");
    case JSON_FALSE:
        return g_strdup("off");
    default:
        return NULL;
    }
}

static bool set_file(struct block_options *options, json_t *value, GError **error)
{
    if (json_is_string(value)) {
        options->file_reference = g_strdup(json_string_value(value));
        return true;
    }
    if (json_is_object(value)) {
        options->file_definition = json_incref(value);
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'file' must be a node's name or an object that defines one");
}

static bool set_members(struct block_options *options, unsigned driver, const char *prefix,
                        json_t *object, unsigned depth, GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        g_autofree char *key = g_strconcat(prefix, name, NULL), *text = NULL;
        const struct option_row *row;

        if (g_str_equal(key, "file") && (driver & FOR_RAW)) {
            if (!set_file(options, value, error)) {
                return false;
            }
            continue;
        }
        if (json_is_object(value) && depth < DEPTH_MAX) {
            g_autofree char *deeper = g_strconcat(key, ".", NULL);

            if (!set_members(options, driver, deeper, value, depth + 1, error)) {
                return false;
            }
            continue;
        }
        row = find_row(key);
        text = scalar_text(value);
        if (!row || !(row->drivers & driver)) {
            return fail_key(key, driver, error);
        }
        if (!text) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "'%s' must be a text, a number or a boolean", key);
        }
        if (!set_row(row, options, text, error)) {
            g_prefix_error(error, "%s: ", key);
            return false;
        }
    }
    return true;
}

/* The formats that QEMU reads by itself, and duodm through a server. */
static bool is_foreign_format(const char *name)
{
    static const char *const formats[] = {"qcow2",     "qcow",  "qed", "vmdk", "vdi",
                                          "vhdx",      "vpc",   "dmg", "luks", "bochs",
                                          "parallels", "cloop", NULL};

    return g_strv_contains(formats, name);
}

static bool find_driver(const char *name, unsigned *mask, GError **error)
{
    const char *names[G_N_ELEMENTS(drivers) + 1] = {NULL};
    g_autofree char *hint = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++) {
        names[i] = drivers[i].name;
        if (g_str_equal(name, drivers[i].name)) {
            *mask = drivers[i].mask;
            return true;
        }
    }
    if (is_foreign_format(name)) {
        return duodm_fail(
            error, DUODM_ERROR_NOT_SUPPORTED,
            "images of format '%s' are not read by duodm itself: serve the image with 'qemu-nbd "
            "--persistent --format=%s --socket=/run/disk.sock IMAGE' and give "
            "driver=nbd,server.type=unix,server.path=/run/disk.sock (with -drive: "
            "file=nbd:unix:/run/disk.sock,format=raw)",
            name, name);
    }
    hint = suggestion(name, names);
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "there is no block driver '%s'%s (there are file, host_device, nbd, null-co "
                      "and raw)",
                      name, hint);
}

static bool check_nbd(const struct block_options *options, GError **error)
{
    unsigned ways = (options->uri != NULL) + (options->unix_path != NULL) +
                    (options->host != NULL || options->port != NULL);

    return ways == 1 || duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                                   "an NBD server is named by one of uri=, server.path= (unix), or "
                                   "server.host= and server.port= (inet)");
}

static bool check_options(const struct block_options *options, unsigned driver, GError **error)
{
    if ((driver & FOR_FILE) && (!options->filename || !*options->filename)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "needs filename=");
    }
    if ((driver & FOR_RAW) && !options->file_reference == !options->file_definition) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "needs file=, the name of a node, or file.driver= and what else defines "
                          "one");
    }
    if ((driver & FOR_NBD) && !check_nbd(options, error)) {
        return false;
    }
    if ((options->offset | (options->size_given ? options->size : 0)) % 512) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "offset and size must be multiples of 512");
    }
    if (options->force_share && !options->read_only) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "force-share=on is for reading: add read-only=on");
    }
    if (options->node_name && (!*options->node_name || options->node_name[0] == '#')) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "node-name '%s' is not valid: names are not empty and do not begin with "
                          "'#'",
                          options->node_name);
    }
    return true;
}

bool block_options_parse(json_t *object, struct block_options *options, GError **error)
{
    json_t *driver = json_object_get(object, "driver");
    unsigned mask = 0;

    *options = (struct block_options){.size = UINT64_MAX, .read_zeroes = true};
    if (!json_is_string(driver)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "needs driver=: file, host_device, nbd, null-co or raw");
    }
    if (!find_driver(json_string_value(driver), &mask, error)) {
        return false;
    }
    if (!set_members(options, mask, "", object, 0, error) || !check_options(options, mask, error)) {
        block_options_clear(options);
        return false;
    }
    if (options->aio > BLOCK_AIO_URING) {
        options->aio = BLOCK_AIO_URING; /* "native" */
    }
    return true;
}

void block_options_clear(struct block_options *options)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].kind == KIND_TEXT) {
            g_free(*(char **)((char *)options + rows[i].offset));
        }
    }
    g_free(options->file_reference);
    json_decref(options->file_definition);
    *options = (struct block_options){0};
}
