/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files: Linux, Documentation/PCI/sysfs-pci.rst. */
#include "backend-xen/passthrough/host-function.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the third column of "resource" (linux/ioport.h). */
#define RESOURCE_IO       0x00000100u
#define RESOURCE_MEMORY   0x00000200u
#define RESOURCE_PREFETCH 0x00002000u
#define RESOURCE_64       0x00100000u
#define RESOURCE_UNSET    0x20000000u /* Linux found no address for it */

#define PAGE 4096u

static bool fail(const struct host_function *function, GError **error, const char *file)
{
    int failed_with = errno;

    return duodm_fail(error, DUODM_ERROR_IO, "xen: %s: %s/%s: %s", function->name, function->folder,
                      file, g_strerror(failed_with));
}

static int open_file(const struct host_function *function, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(function->folder, name, NULL);

    return open(path, flags | O_CLOEXEC);
}

/* A small file as text; NULL and an error if it can't be read. */
static char *read_text(const struct host_function *function, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(function->folder, name, NULL);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, error) ? text : NULL;
}

/* "start end flags" for each BAR, and more. */
static bool read_bars(struct host_function *function, GError **error)
{
    g_autofree char *text = read_text(function, "resource", error);
    g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

    for (unsigned i = 0; lines && lines[i] && i < HOST_FUNCTION_BARS; i++) {
        struct host_bar *bar = &function->bars[i];
        uint64_t start, end, flags;

        if (sscanf(lines[i], "0x%" SCNx64 " 0x%" SCNx64 " 0x%" SCNx64, &start, &end, &flags) != 3 ||
            !(flags & (RESOURCE_IO | RESOURCE_MEMORY))) {
            continue;
        }
        if (!start || end < start || flags & RESOURCE_UNSET) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "xen: %s: BAR %u has no address on the host", function->name, i);
        }
        bar->start = start;
        bar->size = end - start + 1;
        bar->is_io = flags & RESOURCE_IO;
        bar->is_64 = flags & RESOURCE_64;
        bar->prefetchable = flags & RESOURCE_PREFETCH;
    }
    return lines != NULL;
}

static bool read_irq(struct host_function *function, GError **error)
{
    g_autofree char *text = read_text(function, "irq", error);

    function->irq = text ? (unsigned)g_ascii_strtoull(text, NULL, 10) : 0;
    return text != NULL;
}

static bool open_config(struct host_function *function, GError **error)
{
    function->config = open_file(function, "config", O_RDWR);
    return function->config >= 0 || fail(function, error, "config");
}

static bool find(struct host_function *function, const char *root, const char *address,
                 GError **error)
{
    if (!pci_host_address_parse(address, &function->address)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'hostaddr': '%s' is not valid: an address [DDDD:]BB:DD.F, "
                          "hexadecimal, is expected",
                          address);
    }
    function->name = pci_host_address_name(&function->address);
    function->folder = g_build_filename(root, function->name, NULL);
    return g_file_test(function->folder, G_FILE_TEST_IS_DIR) ||
           duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "property 'hostaddr': the host has no PCI device %s", function->name);
}

bool host_function_open(struct host_function *function, const char *root, const char *address,
                        GError **error)
{
    *function = (struct host_function){.config = -1, .owner = {.is_device = true, .notify = -1}};
    for (unsigned i = 0; i < HOST_FUNCTION_BARS; i++) {
        function->bars[i].file = -1;
    }
    if (find(function, root, address, error) && read_bars(function, error) &&
        read_irq(function, error) && open_config(function, error)) {
        return true;
    }
    host_function_close(function);
    return false;
}

static void unmap_page(struct host_bar *bar)
{
    if (bar->page) {
        file_guard_remove(bar->guard);
        munmap((void *)bar->page, PAGE);
        bar->page = NULL;
    }
}

static void close_bar_file(struct host_bar *bar)
{
    unmap_page(bar);
    if (bar->file >= 0) {
        close(bar->file);
        bar->file = -1;
    }
}

static void close_bar(struct host_bar *bar)
{
    close_bar_file(bar);
    *bar = (struct host_bar){.file = -1};
}

static void close_config(struct host_function *function)
{
    if (function->config >= 0) {
        close(function->config);
        function->config = -1;
    }
}

void host_function_close(struct host_function *function)
{
    for (unsigned i = 0; i < HOST_FUNCTION_BARS; i++) {
        close_bar(&function->bars[i]);
    }
    close_config(function);
    g_clear_pointer(&function->folder, g_free);
    g_clear_pointer(&function->name, g_free);
}

void host_function_forget(struct host_function *function)
{
    for (unsigned i = 0; i < HOST_FUNCTION_BARS; i++) {
        close_bar_file(&function->bars[i]);
    }
    close_config(function);
    function->is_forgotten = true;
}

/* Files that are registers: numbers are little-endian. */

static uint32_t read_file(int file, uint64_t offset, unsigned size)
{
    uint8_t bytes[4] = {0xff, 0xff, 0xff, 0xff};
    uint32_t all = UINT32_MAX >> (32 - 8 * size);

    return pread(file, bytes, size, (off_t)offset) == (ssize_t)size ? load_le32(bytes) & all : all;
}

static void write_file(int file, uint64_t offset, unsigned size, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    if (pwrite(file, bytes, size, (off_t)offset) < 0) {
        return; /* as a bus drops a write that nobody takes */
    }
}

uint32_t host_function_config_read(const struct host_function *function, unsigned offset,
                                   unsigned size)
{
    return read_file(function->config, offset, size);
}

void host_function_config_write(const struct host_function *function, unsigned offset,
                                unsigned size, uint32_t value)
{
    write_file(function->config, offset, size, value);
}

/* BARs. */

static bool open_bar(struct host_function *function, struct host_bar *bar)
{
    g_autofree char *name = g_strdup_printf("resource%u", (unsigned)(bar - function->bars));

    if (bar->file < 0 && !function->is_forgotten) {
        bar->file = open_file(function, name, O_RDWR | O_SYNC);
    }
    return bar->file >= 0;
}

/* The file begins with the page that the BAR begins in. NULL: it can't be mapped. */
static volatile uint8_t *memory_at(struct host_function *function, struct host_bar *bar,
                                   uint64_t offset)
{
    uint64_t number = (bar->start + offset) / PAGE;

    if (bar->page_number != number) {
        unmap_page(bar);
    }
    if (!bar->page && open_bar(function, bar)) {
        void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar->file,
                          (off_t)((number - bar->start / PAGE) * PAGE));

        if (page != MAP_FAILED) {
            bar->page = page;
            bar->page_number = number;
            bar->guard = file_guard_add(page, PAGE, &function->owner);
        }
    }
    return bar->page ? bar->page + (bar->start + offset) % PAGE : NULL;
}

uint32_t host_function_bar_read(struct host_function *function, unsigned number, uint64_t offset,
                                unsigned size)
{
    struct host_bar *bar = &function->bars[number];
    uint32_t all = UINT32_MAX >> (32 - 8 * size);
    const volatile uint8_t *memory;

    if (bar->is_io) {
        return open_bar(function, bar) ? read_file(bar->file, offset, size) : all;
    }
    memory = memory_at(function, bar, offset);
    return !memory     ? all
           : size == 1 ? *memory
           : size == 2 ? *(const volatile uint16_t *)memory
                       : *(const volatile uint32_t *)memory;
}

void host_function_bar_write(struct host_function *function, unsigned number, uint64_t offset,
                             unsigned size, uint32_t value)
{
    struct host_bar *bar = &function->bars[number];
    volatile uint8_t *memory;

    if (bar->is_io) {
        if (open_bar(function, bar)) {
            write_file(bar->file, offset, size, value);
        }
        return;
    }
    memory = memory_at(function, bar, offset);
    if (!memory) {
        return;
    }
    if (size == 1) {
        *memory = (uint8_t)value;
    } else if (size == 2) {
        *(volatile uint16_t *)memory = (uint16_t)value;
    } else {
        *(volatile uint32_t *)memory = value;
    }
}

bool host_function_reset(const struct host_function *function, GError **error)
{
    int file = function->is_forgotten ? -1 : open_file(function, "reset", O_WRONLY);
    bool ok = file >= 0 && write(file, "1", 1) == 1;

    if (!ok) {
        fail(function, error, "reset");
    }
    if (file >= 0) {
        close(file);
    }
    return ok;
}
