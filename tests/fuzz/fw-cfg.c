/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: memory with DMA requests for fw_cfg, all over it. */
#include "dm/firmware/fw-cfg.h"
#include "fuzz/fuzz-main.h"

#define RAM_SIZE 0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_cfg *fw_cfg = g_malloc0(fw_cfg_class.instance_size);
    struct memory_region root, ram;
    struct address_space memory;

    fw_cfg_init_items(fw_cfg);
    fw_cfg_set_bytes(fw_cfg, 0x100, "0123456789", 10);
    fw_cfg_add_file(fw_cfg, "etc/a", "content", 7, NULL);
    memory_region_init_container(&root, "root", UINT64_C(1) << 32);
    if (!memory_region_init_ram(&ram, "ram", RAM_SIZE, NULL)) {
        abort();
    }
    memory_region_add_subregion(&root, 0, &ram);
    address_space_init(&memory, &root, "memory");
    address_space_write(&memory, 0, MEMORY_ATTRIBUTES_CPU, data, MIN(size, RAM_SIZE));
    for (uint64_t at = 0; at < size && at < RAM_SIZE; at += 16) {
        fw_cfg_dma(fw_cfg, &memory, at);
        fw_cfg_read_byte(fw_cfg);
    }
    address_space_destroy(&memory);
    memory_region_destroy(&ram);
    memory_region_destroy(&root);
    fw_cfg_clear_items(fw_cfg);
    g_free(fw_cfg);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "fw-cfg");
}
#endif
