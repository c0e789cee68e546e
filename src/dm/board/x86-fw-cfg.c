/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/smbios.h"
#include "dm/board/x86.h"
#include "dm/boot/boot-file.h"
#include "dm/boot/e820.h"
#include "dm/firmware/fw-cfg.h"
#include "util/error.h"
#include "util/little-endian.h"

#define FW_CFG_USER_FILE_MAX (64u << 20)

static bool add_user_files(struct machine *machine, GError **error)
{
    for (unsigned i = 0; i < machine->config.fw_cfg_items->len; i++) {
        const struct fw_cfg_option *option = g_ptr_array_index(machine->config.fw_cfg_items, i);
        g_autoptr(GBytes) bytes = NULL;
        gsize length;
        const void *data;

        if (option->file) {
            bytes = boot_file_read("fw_cfg file", option->file, FW_CFG_USER_FILE_MAX,
                                   "the most that is possible", error);
            if (!bytes) {
                return false;
            }
        } else {
            bytes = g_bytes_new(option->string, strlen(option->string));
        }
        data = g_bytes_get_data(bytes, &length);
        if (!fw_cfg_add_file(machine->fw_cfg, option->name, data, length, error)) {
            g_prefix_error(error, "-fw_cfg: ");
            return false;
        }
    }
    return true;
}

static bool add_e820(struct machine *machine, GError **error)
{
    struct e820_map map;
    uint8_t packed[E820_MAX_ENTRIES * E820_ENTRY_SIZE];

    e820_map_for_firmware(&map, machine->ram_below_4g, machine->ram_above_4g);
    e820_map_pack(&map, packed);
    return fw_cfg_add_file(machine->fw_cfg, "etc/e820", packed, map.count * E820_ENTRY_SIZE, error);
}

bool x86_fill_fw_cfg(struct machine *machine, GError **error)
{
    struct fw_cfg *fw_cfg = machine->fw_cfg;
    const uint8_t no_numa[8] = {0}; /* 0 nodes */
    uint8_t uuid[16] = {0};
    uint8_t menu_wait[2];

    if (machine->config.uuid_text && !smbios_parse_uuid(machine->config.uuid_text, uuid)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' is no UUID",
                          machine->config.uuid_text);
    }
    fw_cfg_set_bytes(fw_cfg, FW_CFG_UUID, uuid, sizeof(uuid));
    fw_cfg_set_u64(fw_cfg, FW_CFG_RAM_SIZE, machine->config.ram_size);
    fw_cfg_set_u16(fw_cfg, FW_CFG_NO_GRAPHIC, 1);
    fw_cfg_set_u16(fw_cfg, FW_CFG_CPU_COUNT, (uint16_t)machine->config.smp);
    fw_cfg_set_u16(fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)machine->config.smp);
    fw_cfg_set_u16(fw_cfg, FW_CFG_BOOT_DEVICE, 0);
    fw_cfg_set_u16(fw_cfg, FW_CFG_BOOT_MENU, machine->config.boot_menu);
    fw_cfg_set_u32(fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    fw_cfg_set_bytes(fw_cfg, FW_CFG_NUMA, no_numa, sizeof(no_numa));
    store_le16(menu_wait, 3000); /* ms */
    return (!machine->config.boot_menu ||
            fw_cfg_add_file(fw_cfg, "etc/boot-menu-wait", menu_wait, 2, error)) &&
           add_e820(machine, error) && add_user_files(machine, error);
}
