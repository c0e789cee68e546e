/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared libraries that are loaded when they are first needed: what few machines use should neither
 * slow the start of all others, nor have to be installed for them.
 */
#ifndef DUODM_UTIL_LIBRARY_H
#define DUODM_UTIL_LIBRARY_H

#include <glib.h>
#include <stdbool.h>

/* A symbol to find, and where in the caller's struct of pointers its address goes. */
struct library_symbol {
    const char *name;
    size_t offset;
};

struct library {
    const char *file;    /* as dlopen takes it: "libnbd.so.0" */
    const char *package; /* Debian's, that has it */
    const struct library_symbol *symbols;
    size_t symbol_count;
};

/* Load the library, which stays until the process ends, and fill the struct. False, and an error
 * that names the package, if it is not installed or lacks a symbol. */
bool library_load(const struct library *library, void *pointers, GError **error);

#endif
