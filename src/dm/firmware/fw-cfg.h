/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device ("fw_cfg"): items of bytes, by number or by file name, that
 * firmware and guests read through ports 510h/511h or by DMA (port 514h). Items are added while the
 * machine is made and do not change later; guests can't write them.
 */
#ifndef DUODM_DM_FIRMWARE_FW_CFG_H
#define DUODM_DM_FIRMWARE_FW_CFG_H

#include "dm/device.h"

struct fw_cfg;

/* Numbers of the items that are no files. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NO_GRAPHIC = 0x04,
    FW_CFG_CPU_COUNT = 0x05,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_FILE_DIRECTORY = 0x19,
    FW_CFG_FIRST_FILE = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* x86: IRQ 0 is IOAPIC pin 2 */
};

#define FW_CFG_NAME_SIZE 56u /* of a file's name, with its terminator */
#define FW_CFG_MAX_FILES 256u

/* Set an item to a copy of bytes, or to a little-endian number. */
void fw_cfg_set_bytes(struct fw_cfg *fw_cfg, uint16_t key, const void *data, size_t length);
void fw_cfg_set_u16(struct fw_cfg *fw_cfg, uint16_t key, uint16_t value);
void fw_cfg_set_u32(struct fw_cfg *fw_cfg, uint16_t key, uint32_t value);
void fw_cfg_set_u64(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value);
/* Add a file. The name must be new and fit; copies the data. */
bool fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t length,
                     GError **error);

/* Device class "fw_cfg": sets machine->fw_cfg. */
extern const struct device_class fw_cfg_class;

/* The registers, for the device's own regions and for tests. */
void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key);
uint8_t fw_cfg_read_byte(struct fw_cfg *fw_cfg);
/* Carry out the DMA request whose control structure lies at `address` of `memory`. */
void fw_cfg_dma(struct fw_cfg *fw_cfg, struct address_space *memory, uint64_t address);
/* Make and drop the items without a machine: realize and unrealize do so. */
void fw_cfg_init_items(struct fw_cfg *fw_cfg);
void fw_cfg_clear_items(struct fw_cfg *fw_cfg);

#endif
