/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/host-memory.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* A line "Name:   number kB" of /proc/meminfo, in bytes; 0: there is none. */
static uint64_t find_field(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? g_ascii_strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

void host_memory_read(struct host_memory *host)
{
    g_autofree char *memory = NULL, *overcommit = NULL;

    *host = (struct host_memory){0};
    if (g_file_get_contents("/proc/meminfo", &memory, NULL, NULL)) {
        host->ram = find_field(memory, "MemTotal:");
        host->swap = find_field(memory, "SwapTotal:");
        host->available = find_field(memory, "MemAvailable:");
    }
    if (g_file_get_contents("/proc/sys/vm/overcommit_memory", &overcommit, NULL, NULL)) {
        host->always_overcommit = overcommit[0] == '1';
    }
}

bool host_memory_check(const struct host_memory *host, uint64_t size, GError **error)
{
    /* Without /proc nothing is known, and the kernel has the last word anyway. */
    if (host->always_overcommit || host->ram == 0 || size <= host->ram + host->swap) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "%" PRIu64 " MiB of memory can't be had: this host has %" PRIu64
                      " MiB of RAM (%" PRIu64 " MiB available) and %" PRIu64
                      " MiB of swap; ask for less with -m, or set vm.overcommit_memory=1",
                      size / MIB, host->ram / MIB, host->available / MIB, host->swap / MIB);
}
