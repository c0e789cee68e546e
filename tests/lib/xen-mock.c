/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen and xenstore for tests, preloaded into duodm: the functions of its libraries that the engine
 * calls. The folder $XEN_MOCK has "device" (lines NAME VALUE: vcpus), "memory", the domain's
 * frames; "frames", for each of its pages the number of its frame + 1 (0: none); "ioreq", the
 * server's two pages; "xs", the store, a file for each value; FIFOs event-N, by which the test
 * sends events to a thread (the port, 4 bytes), and notify-PORT, by which it gets them; watch-0, by
 * which the test says that a watch fires (a byte, its number from 0 on; "watch N PATH" is in the
 * log). See mock.h for the rest. "gone": the domain is dead; "no-store": xenstored is; "no-events":
 * event channels are; "no-replacing": the domain's pages can't be mapped over others.
 */
#define _GNU_SOURCE
#define MOCK_FOLDER "XEN_MOCK"
#include "mock.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoolcore.h>
/* After what makes it complete. */
#include <xen/hvm/ioreq.h>

#define PAGE         4096ull
#define PAGES_MAX    (1ull << 20) /* of the domain */
#define PORTS_MAX    1024
#define BUFFER_PORT  99
#define VCPU_PORT    100 /* of the first */
#define VCPUS_MAX    128
#define WATCHES_MAX  16
#define FAILED(what) (say("%s\n", what), injected())

static struct {
    uint32_t *frames; /* shared with the test */
    int memory;
    struct shared_iopage *requests;
    unsigned handles; /* of event channels, so far */
    unsigned ports;
    struct {
        int fifo;        /* of the handle that has it */
        unsigned peer;   /* a port of ours; 0: the domain's */
        unsigned remote; /* the domain's */
        int notify;      /* FIFO to the test */
    } port[PORTS_MAX];
    unsigned watches;
    char watch[WATCHES_MAX][128]; /* path, NUL, token */
    pthread_mutex_t lock;
} mock = {.memory = -1, .ports = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

static int open_file(const char *name, int flags)
{
    char path[512];

    path_of(path, sizeof(path), name);
    return open(path, flags | O_CLOEXEC | O_CREAT, 0600);
}

static bool exists(const char *name)
{
    char path[512];

    path_of(path, sizeof(path), name);
    return access(path, F_OK) == 0;
}

static void *map_file(const char *name, size_t size)
{
    int fd = open_file(name, O_RDWR);
    struct stat info;
    void *memory;

    if (fstat(fd, &info) != 0 || (info.st_size < (off_t)size && ftruncate(fd, (off_t)size) != 0)) {
        abort();
    }
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory;
}

static void start(void)
{
    pthread_mutex_lock(&mock.lock);
    if (!mock.frames) {
        mock.frames = map_file("frames", PAGES_MAX * sizeof(uint32_t));
        mock.memory = open_file("memory", O_RDWR);
    }
    pthread_mutex_unlock(&mock.lock);
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- The host ---- */

static bool is_ours(const char *path)
{
    return folder() && strcmp(path, "/dev/xen/privcmd") == 0;
}

int access(const char *path, int mode)
{
    return is_ours(path) ? 0 : (int)syscall(SYS_access, path, mode);
}

void *dlopen(const char *name, int flags)
{
    void *(*real)(const char *name, int flags) =
        (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    Dl_info self;

    if (folder() && name && strncmp(name, "libxen", 6) == 0 && dladdr((void *)start, &self)) {
        name = self.dli_fname;
    }
    return real(name, flags);
}

/* ---- Control ---- */

static char handle; /* what all handles point to */

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned flags)
{
    start();
    return FAILED("control") ? NULL : (xc_interface *)(void *)&handle;
}

int xc_interface_close(xc_interface *control)
{
    return 0;
}

int xc_domain_getinfo(xc_interface *control, uint32_t domid, unsigned count, xc_dominfo_t *info)
{
    memset(info, 0, sizeof(*info));
    info->domid = domid;
    return exists("gone") ? 0 : 1;
}

int xc_hvm_param_set(xc_interface *control, uint32_t domid, uint32_t param, uint64_t value)
{
    say("param %u %" PRIu64 "\n", param, value);
    return injected() ? -1 : 0;
}

int xc_domain_populate_physmap_exact(xc_interface *control, uint32_t domid, unsigned long count,
                                     unsigned order, unsigned flags, xen_pfn_t *pages)
{
    if (FAILED("populate")) {
        return -1;
    }
    for (unsigned long i = 0; i < count; i++) {
        if (pages[i] >= PAGES_MAX || mock.frames[pages[i]]) {
            return fail(EBUSY);
        }
        mock.frames[pages[i]] = (uint32_t)pages[i] + 1;
    }
    return 0;
}

int xc_domain_decrease_reservation_exact(xc_interface *control, uint32_t domid, unsigned long count,
                                         unsigned order, xen_pfn_t *pages)
{
    say("decrease %lu\n", count);
    for (unsigned long i = 0; i < count && pages[i] < PAGES_MAX; i++) {
        mock.frames[pages[i]] = 0;
    }
    return 0;
}

int xentoolcore_restrict_all(domid_t domid)
{
    return FAILED("restrict") ? -1 : 0;
}

/* ---- Memory ---- */

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger, unsigned flags)
{
    start();
    return FAILED("memory") ? NULL : (xenforeignmemory_handle *)(void *)&handle;
}

int xenforeignmemory_close(xenforeignmemory_handle *memory)
{
    return 0;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *memory, uint32_t domid, void *address,
                            int protection, int flags, size_t count, const xen_pfn_t pages[],
                            int errors[])
{
    char *host;

    if (injected()) {
        return NULL;
    }
    if (flags & MAP_FIXED && exists("no-replacing")) {
        munmap(address, count * PAGE); /* so the library leaves it */
        errno = ENOMEM;
        return NULL;
    }
    host = mmap(address, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    for (size_t i = 0; i < count; i++) {
        uint32_t frame = pages[i] < PAGES_MAX ? mock.frames[pages[i]] : 0;

        if (errors) {
            errors[i] = frame ? 0 : -ENOENT;
        }
        if (frame) {
            if (mmap(host + i * PAGE, PAGE, protection, MAP_SHARED | MAP_FIXED, mock.memory,
                     (off_t)((frame - 1) * PAGE)) == MAP_FAILED) {
                abort();
            }
        } else if (!errors) {
            munmap(host, count * PAGE);
            errno = ENOENT;
            return NULL;
        }
    }
    return host;
}

void *xenforeignmemory_map(xenforeignmemory_handle *memory, uint32_t domid, int protection,
                           size_t count, const xen_pfn_t pages[], int errors[])
{
    return xenforeignmemory_map2(memory, domid, NULL, protection, 0, count, pages, errors);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *memory, void *address, size_t count)
{
    return munmap(address, count * PAGE);
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *memory,
                                                                domid_t domid, unsigned type,
                                                                unsigned id, unsigned long frame,
                                                                unsigned long count, void **address,
                                                                int protection, int flags)
{
    if (FAILED("resource")) {
        return NULL;
    }
    *address = map_file("ioreq", count * PAGE);
    return (xenforeignmemory_resource_handle *)*address;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *memory,
                                    xenforeignmemory_resource_handle *resource)
{
    return munmap(resource, 2 * PAGE);
}

/* ---- Events ---- */

struct xenevtchn_handle {
    int fifo;
};

static int open_fifo(const char *kind, unsigned number)
{
    char name[32], path[512];

    snprintf(name, sizeof(name), "%s-%u", kind, number);
    path_of(path, sizeof(path), name);
    if (mkfifo(path, 0600) != 0 && errno != EEXIST) {
        abort();
    }
    return open(path, O_RDWR | O_CLOEXEC);
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned flags)
{
    xenevtchn_handle *events;

    if (FAILED("events")) {
        return NULL;
    }
    events = malloc(sizeof(*events));
    events->fifo = open_fifo("event", ++mock.handles);
    return events;
}

int xenevtchn_close(xenevtchn_handle *events)
{
    say("events closed\n");
    close(events->fifo);
    free(events);
    return 0;
}

static unsigned new_port(xenevtchn_handle *events)
{
    unsigned port = mock.ports++;

    if (port == PORTS_MAX) {
        abort();
    }
    mock.port[port].fifo = events->fifo;
    return port;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *events, uint32_t domid)
{
    return FAILED("unbound") ? -1 : (xenevtchn_port_or_error_t)new_port(events);
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *events, uint32_t domid,
                                                     evtchn_port_t remote)
{
    unsigned port;

    if (injected()) {
        return -1;
    }
    port = new_port(events);
    if (domid == DOMID_SELF) {
        mock.port[port].peer = remote;
    } else {
        mock.port[port].remote = remote;
        mock.port[port].notify = open_fifo("notify", remote);
        say("bind %u %u %u\n", remote, mock.handles, port);
    }
    return (xenevtchn_port_or_error_t)port;
}

int xenevtchn_notify(xenevtchn_handle *events, evtchn_port_t port)
{
    unsigned peer = mock.port[port].peer;
    int fd = peer ? mock.port[peer].fifo : mock.port[port].notify;
    uint32_t told = peer;

    return write(fd, &told, sizeof(told)) == sizeof(told) ? 0 : -1;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *events)
{
    uint32_t port;

    if (read(events->fifo, &port, sizeof(port)) != sizeof(port)) {
        return -1;
    }
    return exists("no-events") ? fail(ENODEV) : (xenevtchn_port_or_error_t)port;
}

int xenevtchn_unmask(xenevtchn_handle *events, evtchn_port_t port)
{
    return 0;
}

/* ---- The device model's calls ---- */

xendevicemodel_handle *xendevicemodel_open(xentoollog_logger *logger, unsigned flags)
{
    start();
    return FAILED("devices") ? NULL : (xendevicemodel_handle *)(void *)&handle;
}

int xendevicemodel_close(xendevicemodel_handle *devices)
{
    return 0;
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *devices, domid_t domid, unsigned *count)
{
    *count = (unsigned)setting("vcpus", 2);
    return FAILED("nr_vcpus") ? -1 : 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *devices, domid_t domid, int buffered,
                                       ioservid_t *id)
{
    uint8_t *pages;

    if (FAILED("create")) {
        return -1;
    }
    pages = map_file("ioreq", 2 * PAGE);
    mock.requests = (struct shared_iopage *)(void *)(pages + PAGE);
    for (unsigned i = 0; i < VCPUS_MAX; i++) {
        mock.requests->vcpu_ioreq[i].vp_eport = VCPU_PORT + i;
    }
    *id = 1;
    return 0;
}

int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *devices, domid_t domid,
                                         ioservid_t id, xen_pfn_t *page, xen_pfn_t *buffer,
                                         evtchn_port_t *port)
{
    *port = BUFFER_PORT;
    return FAILED("info") ? -1 : 0;
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *devices, domid_t domid,
                                        ioservid_t id)
{
    say("destroy\n");
    return 0;
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *devices, domid_t domid,
                                          ioservid_t id, int enabled)
{
    return FAILED("enable") ? -1 : 0;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *devices, domid_t domid,
                                                ioservid_t id, int is_memory, uint64_t first,
                                                uint64_t last)
{
    bool bad = injected();

    say("%s %s 0x%" PRIx64 " 0x%" PRIx64 "\n", bad ? "refused" : "range",
        is_memory ? "memory" : "ports", first, last);
    return bad ? -1 : 0;
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *devices, domid_t domid,
                                                    ioservid_t id, int is_memory, uint64_t first,
                                                    uint64_t last)
{
    bool bad = injected();

    say("%s %s 0x%" PRIx64 " 0x%" PRIx64 "\n", bad ? "kept" : "unrange",
        is_memory ? "memory" : "ports", first, last);
    return bad ? -1 : 0;
}

int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *devices, domid_t domid,
                                              ioservid_t id, uint16_t segment, uint8_t bus,
                                              uint8_t device, uint8_t function)
{
    say("function %02x.%x\n", device, function);
    return injected() ? -1 : 0;
}

int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *devices, domid_t domid,
                                                  ioservid_t id, uint16_t segment, uint8_t bus,
                                                  uint8_t device, uint8_t function)
{
    say("no function %02x.%x\n", device, function);
    return 0;
}

int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *devices, domid_t domid, uint8_t irq,
                                     unsigned level)
{
    say("isa %u %u\n", irq, level);
    return injected() ? -1 : 0;
}

int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *devices, domid_t domid,
                                      uint16_t segment, uint8_t bus, uint8_t device, uint8_t pin,
                                      unsigned level)
{
    say("intx %u %u %u\n", device, pin, level);
    return injected() ? -1 : 0;
}

int xendevicemodel_set_pci_link_route(xendevicemodel_handle *devices, domid_t domid, uint8_t link,
                                      uint8_t irq)
{
    say("link %u %u\n", link, irq);
    return injected() ? -1 : 0;
}

int xendevicemodel_inject_msi(xendevicemodel_handle *devices, domid_t domid, uint64_t address,
                              uint32_t data)
{
    say("msi 0x%" PRIx64 " 0x%x\n", address, data);
    return injected() ? -1 : 0;
}

int xendevicemodel_shutdown(xendevicemodel_handle *devices, domid_t domid, unsigned reason)
{
    say("shutdown %u\n", reason);
    return injected() ? -1 : 0;
}

int xendevicemodel_set_mem_type(xendevicemodel_handle *devices, domid_t domid, hvmmem_type_t type,
                                uint64_t first, uint32_t count)
{
    say("type %u 0x%" PRIx64 " %u\n", type, first, count);
    return injected() ? -1 : 0;
}

int xendevicemodel_modified_memory(xendevicemodel_handle *devices, domid_t domid, uint64_t first,
                                   uint32_t count)
{
    say("modified 0x%" PRIx64 " %u\n", first, count);
    return injected() ? -1 : 0;
}

int xendevicemodel_track_dirty_vram(xendevicemodel_handle *devices, domid_t domid, uint64_t first,
                                    uint32_t count, unsigned long *dirty)
{
    memset(dirty, 0xff, (count + 7) / 8);
    return injected() ? -1 : 0;
}

int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *devices, domid_t domid,
                                        uint64_t first, uint64_t last, uint32_t type)
{
    return injected() ? -1 : 0;
}

int xendevicemodel_relocate_memory(xendevicemodel_handle *devices, domid_t domid, uint32_t count,
                                   uint64_t from, uint64_t to)
{
    say("relocate 0x%" PRIx64 " 0x%" PRIx64 " %u\n", from, to, count);
    if (injected()) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        mock.frames[to + i] = mock.frames[from + i];
        mock.frames[from + i] = 0;
    }
    return 0;
}

/* ---- The store ---- */

struct xs_handle {
    int fifo;
};

static void store_path(char *path, size_t size, const char *key)
{
    snprintf(path, size, "%s/xs%s", folder(), key);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

struct xs_handle *xs_open(unsigned long flags)
{
    struct xs_handle *store;

    if (FAILED("store")) {
        return NULL;
    }
    store = malloc(sizeof(*store));
    store->fifo = open_fifo("watch", 0);
    fcntl(store->fifo, F_SETFL, O_NONBLOCK);
    return store;
}

void xs_close(struct xs_handle *store)
{
    say("store closed\n");
    close(store->fifo);
    free(store);
}

int xs_fileno(struct xs_handle *store)
{
    return store->fifo;
}

/* It fires when it begins, as xenstored's do. */
bool xs_watch(struct xs_handle *store, const char *path, const char *token)
{
    unsigned number = mock.watches++;

    if (number == WATCHES_MAX) {
        abort();
    }
    snprintf(mock.watch[number], sizeof(mock.watch[0]), "%s%c%s", path, 0, token);
    say("watch %u %s\n", number, path);
    return !injected() && write(store->fifo, &(char){(char)number}, 1) == 1;
}

bool xs_unwatch(struct xs_handle *store, const char *path, const char *token)
{
    say("unwatch %s\n", path);
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *store)
{
    return injected() ? XBT_NULL : 1;
}

bool xs_transaction_end(struct xs_handle *store, xs_transaction_t transaction, bool aborted)
{
    return !injected();
}

char **xs_check_watch(struct xs_handle *store)
{
    char byte, **fired;

    if (exists("no-store")) {
        errno = EBADF;
        return NULL;
    }
    if (read(store->fifo, &byte, 1) != 1) {
        errno = EAGAIN;
        return NULL;
    }
    fired = malloc(2 * sizeof(char *) + sizeof(mock.watch[0]));
    fired[0] = memcpy(&fired[2], mock.watch[(unsigned)byte % WATCHES_MAX], sizeof(mock.watch[0]));
    fired[1] = fired[0] + strlen(fired[0]) + 1;
    return fired;
}

void *xs_read(struct xs_handle *store, xs_transaction_t transaction, const char *key,
              unsigned *length)
{
    char path[1024], value[1024];
    ssize_t got;
    int fd;

    store_path(path, sizeof(path), key);
    fd = injected() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        return NULL;
    }
    value[got] = 0;
    if (length) {
        *length = (unsigned)got;
    }
    return strdup(value);
}

bool xs_write(struct xs_handle *store, xs_transaction_t transaction, const char *key,
              const void *data, unsigned length)
{
    char path[1024];
    bool good;
    int fd;

    say("write %s %.*s\n", key, (int)length, (const char *)data);
    store_path(path, sizeof(path), key);
    make_folders(path);
    fd = injected() ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    good = fd >= 0 && write(fd, data, length) == (ssize_t)length;
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

bool xs_mkdir(struct xs_handle *store, xs_transaction_t transaction, const char *key)
{
    char path[1024];

    store_path(path, sizeof(path) - 1, key);
    strcat(path, "/");
    make_folders(path);
    return !injected();
}

/* At most ENTRIES. */
char **xs_directory(struct xs_handle *store, xs_transaction_t transaction, const char *key,
                    unsigned *count)
{
    enum { ENTRIES = 16, NAME = 32 };
    struct {
        char *entries[ENTRIES];
        char names[ENTRIES][NAME];
    } * list;
    struct dirent *entry;
    char path[1024];
    DIR *folder;

    store_path(path, sizeof(path), key);
    folder = injected() ? NULL : opendir(path);
    *count = 0;
    if (!folder) {
        errno = ENOENT;
        return NULL;
    }
    list = calloc(1, sizeof(*list));
    while (*count < ENTRIES && (entry = readdir(folder))) {
        if (entry->d_name[0] != '.') {
            snprintf(list->names[*count], NAME, "%.31s", entry->d_name);
            list->entries[*count] = list->names[*count];
            ++*count;
        }
    }
    closedir(folder);
    return list->entries;
}
