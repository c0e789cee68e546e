/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fdt/device-tree.h"
#include "dm/firmware/fw-cfg.h"
#include "dm/machine.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <inttypes.h>

#define SELECTOR_PORT 0x510u
#define DMA_PORT      0x514u

#define ID_TRADITIONAL (1u << 0)
#define ID_DMA         (1u << 1)

/* struct {be32 control, be32 length, be64 address} of a DMA request. */
#define DMA_REQUEST_SIZE 16u
#define DMA_ERROR        (1u << 0)
#define DMA_READ         (1u << 1)
#define DMA_SKIP         (1u << 2)
#define DMA_SELECT       (1u << 3)
#define DMA_WRITE        (1u << 4)

#define DIRECTORY_ENTRY_SIZE 64u

struct fw_cfg_file {
    char name[FW_CFG_NAME_SIZE];
    uint16_t key;
};

struct fw_cfg {
    struct device device;
    struct memory_region ports, dma_ports;
    GHashTable *items; /* uint16_t key -> GBytes */
    GArray *files;     /* of struct fw_cfg_file, sorted by name */
    uint16_t selected;
    uint64_t offset; /* in the selected item, bytes */
    uint64_t dma_address;
};

static GBytes *find_item(struct fw_cfg *fw_cfg, uint16_t key)
{
    return g_hash_table_lookup(fw_cfg->items, GUINT_TO_POINTER(key));
}

void fw_cfg_set_bytes(struct fw_cfg *fw_cfg, uint16_t key, const void *data, size_t length)
{
    g_hash_table_replace(fw_cfg->items, GUINT_TO_POINTER(key), g_bytes_new(data, length));
}

void fw_cfg_set_u16(struct fw_cfg *fw_cfg, uint16_t key, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    fw_cfg_set_bytes(fw_cfg, key, bytes, sizeof(bytes));
}

void fw_cfg_set_u32(struct fw_cfg *fw_cfg, uint16_t key, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    fw_cfg_set_bytes(fw_cfg, key, bytes, sizeof(bytes));
}

void fw_cfg_set_u64(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    fw_cfg_set_bytes(fw_cfg, key, bytes, sizeof(bytes));
}

static const struct fw_cfg_file *file_at(struct fw_cfg *fw_cfg, unsigned index)
{
    return &g_array_index(fw_cfg->files, struct fw_cfg_file, index);
}

/* be32 count, then per file be32 size, be16 key, be16 zero, name. */
static void update_directory(struct fw_cfg *fw_cfg)
{
    size_t size = 4 + fw_cfg->files->len * DIRECTORY_ENTRY_SIZE;
    g_autofree uint8_t *directory = g_malloc0(size);

    store_le32(directory, GUINT32_SWAP_LE_BE(fw_cfg->files->len));
    for (unsigned i = 0; i < fw_cfg->files->len; i++) {
        const struct fw_cfg_file *file = file_at(fw_cfg, i);
        uint8_t *entry = directory + 4 + i * DIRECTORY_ENTRY_SIZE;
        uint32_t length = (uint32_t)g_bytes_get_size(find_item(fw_cfg, file->key));

        store_le32(entry, GUINT32_SWAP_LE_BE(length));
        store_le16(entry + 4, GUINT16_SWAP_LE_BE(file->key));
        memcpy(entry + 8, file->name, FW_CFG_NAME_SIZE);
    }
    fw_cfg_set_bytes(fw_cfg, FW_CFG_FILE_DIRECTORY, directory, size);
}

bool fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, size_t length,
                     GError **error)
{
    struct fw_cfg_file file = {.key = (uint16_t)(FW_CFG_FIRST_FILE + fw_cfg->files->len)};
    unsigned place = 0;

    if (strlen(name) >= sizeof(file.name) || !*name) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "fw_cfg file name '%s' has not 1 to %zu characters", name,
                          sizeof(file.name) - 1);
    }
    if (fw_cfg->files->len == FW_CFG_MAX_FILES || length > UINT32_MAX) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "fw_cfg file '%s' is one too many or too long: at most %u files of less "
                          "than 4 GiB are possible",
                          name, FW_CFG_MAX_FILES);
    }
    while (place < fw_cfg->files->len && strcmp(file_at(fw_cfg, place)->name, name) < 0) {
        place++;
    }
    if (place < fw_cfg->files->len && strcmp(file_at(fw_cfg, place)->name, name) == 0) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "there is a fw_cfg file '%s' already", name);
    }
    g_strlcpy(file.name, name, sizeof(file.name));
    g_array_insert_val(fw_cfg->files, place, file);
    fw_cfg_set_bytes(fw_cfg, file.key, data, length);
    update_directory(fw_cfg);
    return true;
}

void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key)
{
    fw_cfg->selected = key;
    fw_cfg->offset = 0;
}

/* What is left of the selected item; past its end, and in an unknown one, all reads are zero. */
static const uint8_t *rest_of_item(struct fw_cfg *fw_cfg, uint64_t *length)
{
    GBytes *item = find_item(fw_cfg, fw_cfg->selected);
    gsize size = 0;
    const uint8_t *data = item ? g_bytes_get_data(item, &size) : NULL;

    *length = fw_cfg->offset < size ? size - fw_cfg->offset : 0;
    return *length ? data + fw_cfg->offset : NULL;
}

uint8_t fw_cfg_read_byte(struct fw_cfg *fw_cfg)
{
    uint64_t left;
    const uint8_t *data = rest_of_item(fw_cfg, &left);

    fw_cfg->offset += left ? 1 : 0;
    return left ? *data : 0;
}

static bool dma_read(struct fw_cfg *fw_cfg, struct address_space *memory, uint64_t address,
                     uint32_t length)
{
    static const uint8_t zeroes[4096];
    struct memory_attributes attributes = {.from_device = true};
    uint64_t left, copied;
    const uint8_t *data = rest_of_item(fw_cfg, &left);

    copied = MIN(left, length);
    fw_cfg->offset += copied;
    if (copied && address_space_write(memory, address, attributes, data, copied) != MEMORY_OK) {
        return false;
    }
    while (copied < length) {
        uint64_t step = MIN(length - copied, sizeof(zeroes));

        if (address_space_write(memory, address + copied, attributes, zeroes, step) != MEMORY_OK) {
            return false;
        }
        copied += step;
    }
    return true;
}

static bool dma_carry_out(struct fw_cfg *fw_cfg, struct address_space *memory, uint32_t control,
                          uint32_t length, uint64_t address)
{
    uint64_t left;

    if (control & DMA_SELECT) {
        fw_cfg_select(fw_cfg, (uint16_t)(control >> 16));
    }
    if (control & DMA_READ) {
        return address <= UINT64_MAX - length && dma_read(fw_cfg, memory, address, length);
    }
    if (control & DMA_WRITE) {
        return false; /* no item is writable */
    }
    if (control & DMA_SKIP) {
        rest_of_item(fw_cfg, &left);
        fw_cfg->offset += MIN(left, length);
    }
    return true;
}

void fw_cfg_dma(struct fw_cfg *fw_cfg, struct address_space *memory, uint64_t address)
{
    struct memory_attributes attributes = {.from_device = true};
    uint8_t request[DMA_REQUEST_SIZE], result[4];
    uint32_t control, length;
    uint64_t target;
    bool ok;

    if (address_space_read(memory, address, attributes, request, sizeof(request)) != MEMORY_OK) {
        log_item(LOG_GUEST_ERRORS, "fw_cfg: no DMA request at 0x%" PRIx64 "\n", address);
        return;
    }
    control = GUINT32_SWAP_LE_BE(load_le32(request));
    length = GUINT32_SWAP_LE_BE(load_le32(request + 4));
    target = GUINT64_SWAP_LE_BE(load_le64(request + 8));
    ok = dma_carry_out(fw_cfg, memory, control, length, target);
    store_le32(result, ok ? 0 : GUINT32_SWAP_LE_BE(DMA_ERROR));
    if (address_space_write(memory, address, attributes, result, sizeof(result)) != MEMORY_OK) {
        log_item(LOG_GUEST_ERRORS, "fw_cfg: no DMA result taken at 0x%" PRIx64 "\n", address);
    }
}

static enum memory_result ports_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct fw_cfg *fw_cfg = opaque;

    *value = size == 1 && offset == 1 ? fw_cfg_read_byte(fw_cfg) : 0;
    return MEMORY_OK;
}

static enum memory_result ports_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    if (size == 2 && offset == 0) {
        fw_cfg_select(opaque, (uint16_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .valid = {.min_size = 1, .max_size = 2},
    .implemented = {.min_size = 1, .max_size = 2},
};

/* The address register is big-endian, its lower half starts the request. Reads identify it. */
static enum memory_result dma_ports_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    static const char signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

    *value = load_le32(signature + offset);
    return MEMORY_OK;
}

static enum memory_result dma_ports_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct fw_cfg *fw_cfg = opaque;
    uint32_t half = GUINT32_SWAP_LE_BE((uint32_t)value);

    if (offset == 0) {
        fw_cfg->dma_address = (uint64_t)half << 32;
    } else {
        uint64_t address = fw_cfg->dma_address | half;

        fw_cfg->dma_address = 0;
        fw_cfg_dma(fw_cfg, &fw_cfg->device.machine->as_memory, address);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops dma_ports_ops = {
    .read = dma_ports_read,
    .write = dma_ports_write,
    .valid = {.min_size = 4, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};

void fw_cfg_init_items(struct fw_cfg *fw_cfg)
{
    fw_cfg->items = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
    fw_cfg->files = g_array_new(FALSE, TRUE, sizeof(struct fw_cfg_file));
    fw_cfg_set_bytes(fw_cfg, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_u32(fw_cfg, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    update_directory(fw_cfg);
}

void fw_cfg_clear_items(struct fw_cfg *fw_cfg)
{
    g_clear_pointer(&fw_cfg->items, g_hash_table_unref);
    g_clear_pointer(&fw_cfg->files, g_array_unref);
}

static bool fw_cfg_realize(struct device *device, GError **error)
{
    struct fw_cfg *fw_cfg = (struct fw_cfg *)device;
    struct machine *machine = device->machine;

    if (machine->fw_cfg) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "the machine has a fw_cfg device already");
    }
    fw_cfg_init_items(fw_cfg);
    memory_region_init_mmio(&fw_cfg->ports, "fw_cfg", 2, &ports_ops, fw_cfg, &device->guard);
    memory_region_init_mmio(&fw_cfg->dma_ports, "fw_cfg-dma", 8, &dma_ports_ops, fw_cfg,
                            &device->guard);
    memory_region_add_subregion(&machine->system_io, SELECTOR_PORT, &fw_cfg->ports);
    memory_region_add_subregion(&machine->system_io, DMA_PORT, &fw_cfg->dma_ports);
    machine->fw_cfg = fw_cfg;
    return true;
}

static void fw_cfg_unrealize(struct device *device)
{
    struct fw_cfg *fw_cfg = (struct fw_cfg *)device;

    device->machine->fw_cfg = NULL;
    memory_region_destroy(&fw_cfg->dma_ports);
    memory_region_destroy(&fw_cfg->ports);
    fw_cfg_clear_items(fw_cfg);
}

static void fw_cfg_reset(struct device *device)
{
    struct fw_cfg *fw_cfg = (struct fw_cfg *)device;

    fw_cfg_select(fw_cfg, 0);
    fw_cfg->dma_address = 0;
}

static const struct state_field fw_cfg_state_fields[] = {
    STATE(UINT16, fw_cfg, selected, 1),
    STATE(UINT64, fw_cfg, offset, 1),
    STATE(UINT64, fw_cfg, dma_address, 1),
    STATE_END,
};

static const struct state_description fw_cfg_state = {
    .name = "fw_cfg",
    .version = 1,
    .fields = fw_cfg_state_fields,
};

static void fw_cfg_describe(struct device *device, struct device_tree *tree,
                            struct device_node *node)
{
    device_tree_add_port(tree, "fw-cfg", 0x510, 12, "pnpQEMU,0002");
}

const struct device_class fw_cfg_class = {
    .name = "fw_cfg",
    .description = "firmware configuration items at ports 510h, 511h and 514h",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct fw_cfg),
    .state = &fw_cfg_state,
    .realize = fw_cfg_realize,
    .unrealize = fw_cfg_unrealize,
    .reset = fw_cfg_reset,
    .describe = fw_cfg_describe,
};
