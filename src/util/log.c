/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint32_t item;
    const char *help;
} log_item_table[] = {
    {"int", LOG_INT, "interrupts and exceptions as they are delivered"},
    {"exec", LOG_EXEC, "each block before it runs"},
    {"cpu", LOG_CPU, "registers before each block"},
    {"mmu", LOG_MMU, "page walks and page faults"},
    {"guest_errors", LOG_GUEST_ERRORS, "what a guest did that hardware leaves undefined"},
    {"in_asm", LOG_IN_ASM, "guest instructions of each block, as it is decoded or translated"},
    {"out_asm", LOG_OUT_ASM, "host code of each translated block"},
    {"unimp", LOG_UNIMPLEMENTED, "a feature that the guest asked for and duodm lacks"},
    {"cpu_reset", LOG_RESET, "resets of CPUs and of the machine"},
};

uint32_t log_items_enabled;
static int log_fd = STDERR_FILENO;

static void log_write(const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = write(log_fd, text, left);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return; /* nowhere to tell it */
        }
        text += n;
        left -= (size_t)n;
    }
}

void log_printf(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    log_write(text);
}

void log_warning(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "duodm: warning: %s\n", text);
}

void log_error(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "duodm: %s\n", text);
}

bool log_set_items(const char *list, GError **error)
{
    g_auto(GStrv) names = g_strsplit(list, ",", -1);
    uint32_t items = 0;

    for (char **name = names; *name; name++) {
        bool found = false;

        for (unsigned i = 0; i < G_N_ELEMENTS(log_item_table); i++) {
            if (g_str_equal(*name, log_item_table[i].name)) {
                items |= log_item_table[i].item;
                found = true;
            }
        }
        if (!found) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "unknown log item '%s': '-d help' lists them", *name);
        }
    }
    __atomic_store_n(&log_items_enabled, items, __ATOMIC_RELAXED);
    return true;
}

bool log_set_file(const char *path, GError **error)
{
    int fd = STDERR_FILENO;

    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0) {
            return duodm_fail(error, DUODM_ERROR_IO, "cannot open log file '%s': %s", path,
                              g_strerror(errno));
        }
    }
    if (log_fd != STDERR_FILENO) {
        close(log_fd);
    }
    log_fd = fd;
    return true;
}

void log_list_items(FILE *out)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(log_item_table); i++) {
        fprintf(out, "%-14s %s\n", log_item_table[i].name, log_item_table[i].help);
    }
}
