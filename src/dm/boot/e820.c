/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/boot/e820.h"
#include "util/little-endian.h"

#include <assert.h>

static void add(struct e820_map *map, uint64_t start, uint64_t end, enum e820_type type)
{
    if (end > start) {
        assert(map->count < E820_MAX_ENTRIES);
        map->entries[map->count++] = (struct e820_entry){start, end - start, type};
    }
}

void e820_map_for_kernel(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    map->count = 0;
    add(map, 0, E820_LOW_RAM_END, E820_RAM);
    add(map, E820_LOW_RAM_END, E820_VGA_START, E820_RESERVED);
    add(map, E820_SYSTEM_START, E820_HIGH_START, E820_RESERVED);
    add(map, E820_HIGH_START, ram_below_4g, E820_RAM);
    add(map, E820_FOUR_GIB - E820_FIRMWARE_SIZE, E820_FOUR_GIB, E820_RESERVED);
    add(map, E820_FOUR_GIB, E820_FOUR_GIB + ram_above_4g, E820_RAM);
}

void e820_map_for_bios_kernel(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    map->count = 0;
    add(map, 0, E820_LOW_RAM_END, E820_RAM);
    add(map, E820_LOW_RAM_END, E820_VGA_START, E820_RESERVED);
    add(map, E820_SYSTEM_START, E820_HIGH_START, E820_RESERVED);
    add(map, E820_HIGH_START, ram_below_4g, E820_RAM);
    add(map, E820_BIOS_TABLES, E820_FOUR_GIB, E820_RESERVED);
    add(map, E820_FOUR_GIB, E820_FOUR_GIB + ram_above_4g, E820_RAM);
}

void e820_map_for_firmware(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g)
{
    map->count = 0;
    add(map, 0, ram_below_4g, E820_RAM);
    add(map, E820_FOUR_GIB, E820_FOUR_GIB + ram_above_4g, E820_RAM);
}

void e820_map_reserve(struct e820_map *map, uint64_t start, uint64_t length)
{
    unsigned at = map->count;

    assert(map->count < E820_MAX_ENTRIES);
    for (; at > 0 && map->entries[at - 1].start > start; at--) {
        map->entries[at] = map->entries[at - 1];
    }
    map->entries[at] = (struct e820_entry){start, length, E820_RESERVED};
    map->count++;
}

void e820_map_pack(const struct e820_map *map, uint8_t *out)
{
    for (unsigned i = 0; i < map->count; i++, out += E820_ENTRY_SIZE) {
        store_le64(out, map->entries[i].start);
        store_le64(out + 8, map->entries[i].length);
        store_le32(out + 16, map->entries[i].type);
    }
}
