/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The domain's memory. Its RAM is seen through the mapcache. Memory that a device brings (video
 * RAM, an option ROM) becomes the domain's own: pages are added to the domain and mapped over the
 * host memory that the device has, whose pointer stays good; when the guest maps the device's BAR,
 * the pages move there, and back when it unmaps it.
 */
#include "backend-xen/xen-machine.h"
#include "memory/ram-block.h"
#include "memory/ram-windows.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW_PAGES 256 /* 1 MiB */
#define FOUR_GIB     (1ull << 32)

/* Windows. */

static void *map_pages(void *opaque, uint64_t page, size_t count, bool is_write, int *errors)
{
    const struct xen_machine *xen = opaque;
    g_autofree xen_pfn_t *pages = g_new(xen_pfn_t, count);

    for (size_t i = 0; i < count; i++) {
        pages[i] = page + i;
    }
    return xenforeignmemory_map2(xen->memory, xen->domid, NULL,
                                 PROT_READ | (is_write ? PROT_WRITE : 0), 0, count, pages, errors);
}

static void unmap_pages(void *opaque, void *host, size_t count)
{
    const struct xen_machine *xen = opaque;

    xenforeignmemory_unmap(xen->memory, host, count);
}

static const struct mapcache_ops cache_ops = {map_pages, unmap_pages};

static void *find(void *opaque, uint64_t offset, uint64_t *length, bool is_write)
{
    const struct xen_machine *xen = opaque;

    return mapcache_find(xen->mapcache, offset, length, is_write);
}

static void *pin(void *opaque, uint64_t offset, uint64_t *length, bool is_write, void **handle)
{
    const struct xen_machine *xen = opaque;

    return mapcache_pin(xen->mapcache, offset, length, is_write, (struct mapcache_window **)handle);
}

static void unpin(void *opaque, void *handle)
{
    const struct xen_machine *xen = opaque;

    mapcache_unpin(xen->mapcache, handle);
}

static bool is_migrating(const struct memory_region *region)
{
    return ram_block_dirty_clients(region->ram) & 1u << DIRTY_MIGRATION;
}

/* For live migration: Xen does not see what is written through our mappings. */
static void tell_written(const struct xen_machine *xen, uint64_t address, uint64_t length)
{
    uint64_t first = address >> XEN_PAGE_SHIFT;
    uint64_t last = (address + (length - 1)) >> XEN_PAGE_SHIFT;

    if (length) {
        xendevicemodel_modified_memory(xen->devices, xen->domid, first,
                                       (uint32_t)(last - first + 1));
    }
}

static void ram_written(void *opaque, uint64_t offset, uint64_t length)
{
    const struct xen_machine *xen = opaque;

    if (G_UNLIKELY(is_migrating(&xen->machine->ram))) {
        tell_written(xen, offset, length);
    }
}

static const struct ram_windows guest_ram = {find, pin, unpin, ram_written};

bool xen_create_memory(struct xen_machine *xen, uint64_t mapcache_size, GError **error)
{
    struct mapcache_config config = {
        .page_shift = XEN_PAGE_SHIFT,
        .window_pages = WINDOW_PAGES,
        .max_windows = (unsigned)(mapcache_size / (WINDOW_PAGES * XEN_PAGE_SIZE)),
    };

    xen->mapcache = mapcache_new(&cache_ops, xen, &config);
    xen->adopted = g_ptr_array_new_with_free_func(g_free);
    return true;
}

void xen_destroy_memory(struct xen_machine *xen)
{
    if (xen->adopted) {
        g_ptr_array_free(xen->adopted, TRUE);
    }
    mapcache_free(xen->mapcache);
}

/* An offset in RAM is a guest's physical address. */
bool xen_make_ram(struct machine *machine, GError **error)
{
    struct xen_machine *xen = xen_of(machine);
    uint64_t size =
        machine->ram_above_4g ? FOUR_GIB + machine->ram_above_4g : machine->ram_below_4g;

    machine->ram_above_4g_offset = FOUR_GIB;
    memory_region_init_windowed_ram(&machine->ram, "xen.ram", size, &guest_ram, xen);
    xen->next_free_page = size >> XEN_PAGE_SHIFT;
    return true;
}

void xen_set_read_only(struct xen_machine *xen, const struct listener_section *section,
                       bool read_only)
{
    if (xendevicemodel_set_mem_type(xen->devices, xen->domid,
                                    read_only ? HVMMEM_ram_ro : HVMMEM_ram_rw,
                                    section->region_offset >> XEN_PAGE_SHIFT,
                                    (uint32_t)(section->length >> XEN_PAGE_SHIFT)) < 0) {
        xen_warn(xen, "memory 0x%" PRIx64 " can't be made %s", section->start,
                 read_only ? "read-only" : "writable");
    }
}

/* Adopted memory. */

struct adopted_ram {
    struct xen_machine *xen;
    struct memory_region *region;
    uint64_t page_count;
    uint64_t home;  /* first page of where it is while nobody sees it */
    uint64_t place; /* first page of where it is now */
    bool is_placed; /* not at home */
    bool is_mapped; /* its pages are mapped in place of the host's memory */
};

static void adopted_written(void *opaque, const uint8_t *host, uint64_t length)
{
    const struct adopted_ram *ram = opaque;
    uint64_t offset = (uint64_t)(host - (uint8_t *)memory_region_host_pointer(ram->region));

    if (G_UNLIKELY(is_migrating(ram->region))) {
        tell_written(ram->xen, (ram->place << XEN_PAGE_SHIFT) + offset, length);
    }
}

static struct adopted_ram *find_adopted(const struct xen_machine *xen,
                                        const struct memory_region *region)
{
    for (unsigned i = 0; i < xen->adopted->len; i++) {
        struct adopted_ram *ram = g_ptr_array_index(xen->adopted, i);

        if (ram->region == region) {
            return ram;
        }
    }
    return NULL;
}

static xen_pfn_t *list_pages(const struct adopted_ram *ram)
{
    xen_pfn_t *pages = g_new(xen_pfn_t, ram->page_count);

    for (uint64_t i = 0; i < ram->page_count; i++) {
        pages[i] = ram->place + i;
    }
    return pages;
}

/* Put the host memory's content into the domain's pages. */
static bool copy_memory(const struct adopted_ram *ram, const xen_pfn_t *pages)
{
    const struct xen_machine *xen = ram->xen;
    void *copy = xenforeignmemory_map(xen->memory, xen->domid, PROT_READ | PROT_WRITE,
                                      ram->page_count, pages, NULL);

    if (copy) {
        memcpy(copy, memory_region_host_pointer(ram->region), ram->page_count << XEN_PAGE_SHIFT);
        xenforeignmemory_unmap(xen->memory, copy, ram->page_count);
    }
    return copy != NULL;
}

/* Map the domain's pages in place of the host's. Where that fails the library leaves nothing, but
 * the device goes on using its memory: then it is the host's again, and empty. */
static bool replace_memory(struct adopted_ram *ram, const xen_pfn_t *pages, GError **error)
{
    const struct xen_machine *xen = ram->xen;
    void *host = memory_region_host_pointer(ram->region);

    ram->is_mapped = xenforeignmemory_map2(xen->memory, xen->domid, host, PROT_READ | PROT_WRITE,
                                           MAP_FIXED, ram->page_count, pages, NULL) != NULL;
    if (ram->is_mapped) {
        return true;
    }
    xen_fail(xen, error, "cannot map the pages of '%s'", ram->region->name);
    (void)mmap(host, ram->page_count << XEN_PAGE_SHIFT, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return false;
}

/* Has the domain all of these pages? */
static bool pages_exist(const struct adopted_ram *ram, const xen_pfn_t *pages)
{
    const struct xen_machine *xen = ram->xen;
    g_autofree int *errors = g_new0(int, ram->page_count);
    void *host =
        xenforeignmemory_map(xen->memory, xen->domid, PROT_READ, ram->page_count, pages, errors);
    bool all = host != NULL;

    for (uint64_t i = 0; i < ram->page_count; i++) {
        all = all && !errors[i];
    }
    if (host) {
        xenforeignmemory_unmap(xen->memory, host, ram->page_count);
    }
    return all;
}

/*
 * A restored domain has the pages already: at home, if nobody saw them when it was saved, or where
 * the guest had put them, which the device's state will say.
 */
static bool find_restored(struct adopted_ram *ram, const xen_pfn_t *pages, GError **error)
{
    return !pages_exist(ram, pages) || replace_memory(ram, pages, error);
}

static bool make_pages(struct adopted_ram *ram, xen_pfn_t *pages, GError **error)
{
    const struct xen_machine *xen = ram->xen;

    if (xc_domain_populate_physmap_exact(xen->control, xen->domid, ram->page_count, 0, 0, pages)) {
        return xen_fail(xen, error, "no %" PRIu64 " pages for '%s' (has it enough maximum memory?)",
                        ram->page_count, ram->region->name);
    }
    if (!copy_memory(ram, pages)) {
        xen_fail(xen, error, "cannot fill the pages of '%s'", ram->region->name);
    } else if (replace_memory(ram, pages, error)) {
        return true;
    }
    xc_domain_decrease_reservation_exact(xen->control, xen->domid, ram->page_count, 0, pages);
    return false;
}

bool xen_adopt_ram(struct machine *machine, struct memory_region *region, GError **error)
{
    struct xen_machine *xen = xen_of(machine);
    struct adopted_ram *ram = g_new0(struct adopted_ram, 1);
    g_autofree xen_pfn_t *pages = NULL;

    *ram = (struct adopted_ram){
        .xen = xen,
        .region = region,
        .page_count = (region->size + XEN_PAGE_SIZE - 1) >> XEN_PAGE_SHIFT,
        .home = xen->next_free_page,
        .place = xen->next_free_page,
    };
    pages = list_pages(ram);
    if (!(machine->config.incoming ? find_restored(ram, pages, error)
                                   : make_pages(ram, pages, error))) {
        g_free(ram);
        return false;
    }
    ram_block_watch(region->ram, adopted_written, ram);
    memory_topology_begin();
    xen->next_free_page += ram->page_count;
    g_ptr_array_add(xen->adopted, ram);
    memory_topology_commit();
    return true;
}

/* The host's mapping goes with the region. */
void xen_abandon_ram(struct machine *machine, struct memory_region *region)
{
    struct xen_machine *xen = xen_of(machine);
    struct adopted_ram *ram;

    memory_topology_begin();
    ram = find_adopted(xen, region);
    ram_block_watch(region->ram, NULL, NULL);
    if (ram && !xen->restricted && !xen->quit) {
        g_autofree xen_pfn_t *pages = list_pages(ram);

        xc_domain_decrease_reservation_exact(xen->control, xen->domid, ram->page_count, 0, pages);
    }
    g_ptr_array_remove(xen->adopted, ram);
    memory_topology_commit();
}

static bool move_pages(struct adopted_ram *ram, uint64_t to)
{
    const struct xen_machine *xen = ram->xen;

    if (ram->place != to &&
        xendevicemodel_relocate_memory(xen->devices, xen->domid, (uint32_t)ram->page_count,
                                       ram->place, to) < 0) {
        return false;
    }
    ram->place = to;
    return true;
}

bool xen_place_ram(struct xen_machine *xen, const struct listener_section *section, bool *placed,
                   GError **error)
{
    struct adopted_ram *ram = find_adopted(xen, section->region);
    uint64_t page = section->start >> XEN_PAGE_SHIFT;
    uint64_t last = page + (section->length >> XEN_PAGE_SHIFT) - 1;

    *placed = false;
    if (!ram || ram->is_placed || section->region_offset ||
        section->length >> XEN_PAGE_SHIFT != ram->page_count) {
        return true; /* a part, or a second view of it */
    }
    if (!ram->is_mapped) {
        g_autofree xen_pfn_t *pages = NULL;

        ram->place = page;
        pages = list_pages(ram);
        if (!replace_memory(ram, pages, error)) {
            return false;
        }
    }
    if (!move_pages(ram, page)) {
        return xen_fail(xen, error, "'%s' can't be moved to 0x%" PRIx64, section->region->name,
                        section->start);
    }
    ram->is_placed = *placed = true;
    if (section->region->kind == MEMORY_ROM || section->read_only) {
        struct listener_section placed_section = *section;

        placed_section.region_offset = section->start;
        xen_set_read_only(xen, &placed_section, true);
    }
    /* Without it the guest's own MTRRs say what a frame buffer is cached as, and they say nothing
     * of it while firmware runs. */
    xendevicemodel_pin_memory_cacheattr(xen->devices, xen->domid, page, last,
                                        XEN_DMOP_MEM_CACHEATTR_WB);
    return true;
}

bool xen_displace_ram(struct xen_machine *xen, const struct listener_section *section)
{
    struct adopted_ram *ram = find_adopted(xen, section->region);
    uint64_t page = section->start >> XEN_PAGE_SHIFT;

    if (!ram || !ram->is_placed || ram->place != page || section->region_offset) {
        return false;
    }
    xendevicemodel_pin_memory_cacheattr(xen->devices, xen->domid, page, page + ram->page_count - 1,
                                        XEN_DMOP_DELETE_MEM_CACHEATTR);
    if (!move_pages(ram, ram->home)) {
        xen_warn(xen, "'%s' can't be taken from 0x%" PRIx64, section->region->name, section->start);
    }
    ram->is_placed = false;
    return true;
}

/* Xen tracks one range at a time: that of the first memory that somebody draws. */
void xen_sync_dirty_ram(struct xen_machine *xen)
{
    for (unsigned i = 0; i < xen->adopted->len; i++) {
        struct adopted_ram *ram = g_ptr_array_index(xen->adopted, i);
        size_t words = (ram->page_count + 63) / 64;
        g_autofree unsigned long *bitmap = g_new0(unsigned long, words);

        if (!ram->is_placed || !(ram_block_dirty_clients(ram->region->ram) & 1u << DIRTY_DISPLAY)) {
            continue;
        }
        if (xendevicemodel_track_dirty_vram(xen->devices, xen->domid, ram->place,
                                            (uint32_t)ram->page_count, bitmap) < 0) {
            memory_region_set_dirty(ram->region, 0, ram->region->size);
            return;
        }
        for (uint64_t page = 0; page < ram->page_count; page++) {
            if (bitmap[page / 64] >> (page % 64) & 1) {
                memory_region_set_dirty(ram->region, page << XEN_PAGE_SHIFT, XEN_PAGE_SIZE);
            }
        }
        return;
    }
}
