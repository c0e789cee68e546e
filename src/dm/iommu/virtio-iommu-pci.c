/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests are handled in an I/O thread that is this device's own: an UNMAP waits for what other
 * devices still use, and those must go on meanwhile (iommu/iommu-watch.h).
 */
#include "dm/iommu/virtio-iommu-pci.h"
#include "dm/pci/pci-tree.h"
#include "dm/machine.h"
#include "dm/pci/pci-iommu.h"
#include "dm/virtio/virtio-pci.h"
#include "iommu/virtio-iommu.h"
#include "util/error.h"
#include "util/little-endian.h"

#define REQUEST_QUEUE_SIZE 256
#define EVENT_QUEUE_SIZE   64
#define PAGE_SIZE          4096u
#define MAPPING_LEEWAY     (1u << 16) /* what a small guest may map, too */
#define MAPPINGS_MAX       (UINT64_C(1) << 26)
#define SAVED_MAX          (1u << 31) /* bytes: room for as many */

struct virtio_iommu_pci {
    struct virtio_device virtio;
    /* Properties. */
    bool boot_bypass;
    uint8_t address_width;

    struct virtio_iommu *unit;
    pthread_mutex_t endpoints_lock; /* leaf; for the table below */
    GHashTable *endpoints; /* requester -> struct virtio_iommu_endpoint, each as often as got */
    bool machine_resets;   /* the machine's reset, not the driver's */
    bool bypass_ends;      /* the driver has taken bypass back; devices may still be at it */
    GByteArray *saved;
    /* A request that is carried out, and answered when devices use nothing any more that it took
     * back. In the I/O thread. */
    struct virtqueue_element *unanswered; /* NULL: there is none */
    uint8_t answer[VIRTIO_IOMMU_PROBE_BYTES + VIRTIO_IOMMU_TAIL_SIZE];
    size_t answer_length;
};

static struct virtio_iommu_pci *iommu_of(struct virtio_device *device)
{
    return (struct virtio_iommu_pci *)device;
}

/* ---- The bus's side ---- */

static struct memory_region *get_view(void *opaque, uint16_t requester)
{
    struct virtio_iommu_pci *iommu = opaque;
    struct virtio_iommu_endpoint *endpoint = virtio_iommu_get_endpoint(iommu->unit, requester);

    pthread_mutex_lock(&iommu->endpoints_lock);
    g_hash_table_insert(iommu->endpoints, GUINT_TO_POINTER(requester), endpoint);
    pthread_mutex_unlock(&iommu->endpoints_lock);
    return virtio_iommu_endpoint_root(endpoint);
}

static void put_view(void *opaque, uint16_t requester)
{
    struct virtio_iommu_pci *iommu = opaque;
    struct virtio_iommu_endpoint *endpoint;

    pthread_mutex_lock(&iommu->endpoints_lock);
    endpoint = g_hash_table_lookup(iommu->endpoints, GUINT_TO_POINTER(requester));
    pthread_mutex_unlock(&iommu->endpoints_lock);
    virtio_iommu_put_endpoint(endpoint);
}

/* Drivers tell of each mapping. */
static bool can_follow(void *opaque, GError **error)
{
    return true;
}

static struct iommu_drain *get_drain(void *opaque)
{
    return &((struct virtio_iommu_pci *)opaque)->unit->drain;
}

static const struct pci_iommu_ops bus_ops = {
    .get_view = get_view,
    .put_view = put_view,
    .can_follow = can_follow,
    .get_drain = get_drain,
};

/* ---- In the I/O thread ---- */

static void answer(struct virtio_iommu_pci *iommu)
{
    struct virtqueue_element *element = iommu->unanswered;

    if (element) {
        iommu->unanswered = NULL;
        virtqueue_write(element, 0, iommu->answer, iommu->answer_length);
        virtqueue_push(element, iommu->answer_length);
        virtqueue_notify(element->queue);
    }
}

static bool handle_requests(struct virtqueue *queue)
{
    struct virtio_iommu_pci *iommu = iommu_of(queue->device);
    bool drained;

    while ((drained = iommu_drain_is_empty(&iommu->unit->drain))) {
        uint8_t out[VIRTIO_IOMMU_REQUEST_SIZE + 1]; /* to tell which are too long */
        struct virtqueue_element *element;
        size_t length;

        answer(iommu);
        element = virtqueue_pop(queue);
        if (!element) {
            break;
        }
        length = virtqueue_read(element, 0, out, sizeof(out));
        iommu->answer_length = virtio_iommu_request(iommu->unit, out, length, iommu->answer,
                                                    MIN(element->in_length, sizeof(iommu->answer)));
        iommu->unanswered = element;
    }
    return drained; /* else devices_have_ended has us go on */
}

static void devices_have_ended(void *opaque)
{
    struct virtio_iommu_pci *iommu = opaque;

    virtqueue_kick(virtio_queue(&iommu->virtio, VIRTIO_IOMMU_REQUESTS));
}

/* Devices still use what the driver's reset has taken back. */
static bool iommu_is_resetting(const struct virtio_device *device)
{
    return !iommu_drain_is_empty(&((const struct virtio_iommu_pci *)device)->unit->drain);
}

/* Before the machine, or the driver, goes on, devices have ended what they are at. */
static void iommu_stop(struct virtio_device *device)
{
    answer(iommu_of(device));
}

/* The driver's buffers are kept until there are faults: it is asked to tell of more only when
 * they have run out. */
static bool handle_events(struct virtqueue *queue)
{
    struct virtio_iommu_pci *iommu = iommu_of(queue->device);
    uint8_t event[VIRTIO_IOMMU_EVENT_SIZE];

    while (virtio_iommu_has_fault(iommu->unit)) {
        struct virtqueue_element *element = virtqueue_pop(queue);
        bool fits = element && element->in_length >= sizeof(event);

        if (!element) {
            return true;
        }
        if (fits && virtio_iommu_take_fault(iommu->unit, event)) {
            virtqueue_write(element, 0, event, sizeof(event));
        }
        virtqueue_push(element, fits ? sizeof(event) : 0);
        virtqueue_notify(queue);
    }
    return false;
}

static void fault_recorded(void *opaque)
{
    struct virtio_iommu_pci *iommu = opaque;

    virtqueue_kick(virtio_queue(&iommu->virtio, VIRTIO_IOMMU_EVENTS));
}

/* ---- Under the guard ---- */

static void iommu_features_set(struct virtio_device *device)
{
    virtio_iommu_set_features(iommu_of(device)->unit, device->features);
    device->config_write_mask[VIRTIO_IOMMU_CONFIG_BYPASS] =
        virtio_has_feature(device, VIRTIO_IOMMU_F_BYPASS_CONFIG) ? 1 : 0;
}

static void iommu_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);
    bool bypass = device->config[VIRTIO_IOMMU_CONFIG_BYPASS];

    iommu->bypass_ends = !bypass && (iommu->bypass_ends || iommu->unit->bypass);
    virtio_iommu_set_bypass(iommu->unit, bypass);
}

/* A driver that has taken memory back from devices in no domain reads that it has when they use it
 * no more. Requests that it sends meanwhile wait for the same. */
static void iommu_config_read(struct virtio_device *device)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);

    iommu->bypass_ends = iommu->bypass_ends && !iommu_drain_is_empty(&iommu->unit->drain);
    device->config[VIRTIO_IOMMU_CONFIG_BYPASS] = iommu->unit->bypass || iommu->bypass_ends;
}

/* When the machine is reset the devices behind come first: forget_all. */
static void iommu_reset(struct virtio_device *device)
{
    if (!iommu_of(device)->machine_resets) {
        virtio_iommu_reset(iommu_of(device)->unit);
    }
    device->config_write_mask[VIRTIO_IOMMU_CONFIG_BYPASS] = 0;
}

static void iommu_pci_reset(struct device *device)
{
    struct virtio_iommu_pci *iommu = (struct virtio_iommu_pci *)device;

    iommu->machine_resets = true;
    virtio_pci_reset(device);
    iommu->machine_resets = false;
}

/* All devices have been reset: none of their DMA meets a unit that has forgotten their domains. */
static void forget_all(void *opaque)
{
    struct virtio_iommu_pci *iommu = opaque;

    virtio_iommu_reset(iommu->unit);
    iommu->bypass_ends = false;
    iommu->virtio.config[VIRTIO_IOMMU_CONFIG_BYPASS] = iommu->boot_bypass;
    virtio_iommu_set_bypass(iommu->unit, iommu->boot_bypass);
}

/* ---- Life ---- */

static void fill_config(struct virtio_iommu_pci *iommu)
{
    uint8_t *config = iommu->virtio.config;

    store_le64(config + VIRTIO_IOMMU_CONFIG_PAGE_SIZE_MASK, ~(uint64_t)(VIRTIO_IOMMU_GRANULE - 1));
    store_le64(config + VIRTIO_IOMMU_CONFIG_INPUT_END, (UINT64_C(1) << iommu->address_width) - 1);
    store_le32(config + VIRTIO_IOMMU_CONFIG_DOMAIN_END, VIRTIO_IOMMU_DOMAIN_LAST);
    store_le32(config + VIRTIO_IOMMU_CONFIG_PROBE_SIZE, VIRTIO_IOMMU_PROBE_BYTES);
    config[VIRTIO_IOMMU_CONFIG_BYPASS] = iommu->boot_bypass;
}

static struct virtio_iommu *make_unit(struct virtio_iommu_pci *iommu)
{
    struct machine *machine = iommu->virtio.pci.device.machine;
    struct virtio_iommu_config config = {
        .address_width = iommu->address_width,
        /* Each page mapped twice: more is no use. */
        .mapping_limit =
            MIN(2 * (machine->config.ram_size / PAGE_SIZE) + MAPPING_LEEWAY, MAPPINGS_MAX),
        .bypass = iommu->boot_bypass,
    };
    struct virtio_iommu_host host = {fault_recorded, devices_have_ended, iommu};

    return virtio_iommu_new(&config, &host, &machine->as_memory, &machine->system_memory);
}

static void iommu_unrealize(struct virtio_device *device)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);

    pci_bus_set_iommu(device->pci.pci_bus, NULL, NULL, NULL);
    g_hash_table_destroy(iommu->endpoints);
    pthread_mutex_destroy(&iommu->endpoints_lock);
    g_byte_array_unref(iommu->saved);
    virtio_iommu_free(iommu->unit);
}

static bool iommu_realize(struct virtio_device *device, GError **error)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);
    struct machine *machine = device->pci.device.machine;

    iommu->unit = make_unit(iommu);
    pthread_mutex_init(&iommu->endpoints_lock, NULL);
    iommu->endpoints = g_hash_table_new(NULL, NULL);
    iommu->saved = g_byte_array_new();
    if (!pci_bus_set_iommu(device->pci.pci_bus, &bus_ops, iommu, error)) {
        g_hash_table_destroy(iommu->endpoints);
        pthread_mutex_destroy(&iommu->endpoints_lock);
        g_byte_array_unref(iommu->saved);
        virtio_iommu_free(iommu->unit);
        return false;
    }
    device->thread = io_thread_make(machine, "io.iommu", error);
    if (!device->thread) {
        iommu_unrealize(device);
        return false;
    }
    fill_config(iommu);
    virtio_add_queue(device, REQUEST_QUEUE_SIZE, 0, handle_requests);
    virtio_add_queue(device, EVENT_QUEUE_SIZE, 0, handle_events);
    machine_add_reset_handler(machine, forget_all, iommu);
    return true;
}

static struct virtio_iommu_pci *find(struct machine *machine)
{
    for (unsigned i = 0; machine->pci_bus && i < machine->pci_bus->children->len; i++) {
        struct device *device = g_ptr_array_index(machine->pci_bus->children, i);

        if (device->class == &virtio_iommu_pci_class) {
            return (struct virtio_iommu_pci *)device;
        }
    }
    return NULL;
}

struct virtio_iommu *virtio_iommu_find(struct machine *machine)
{
    const struct virtio_iommu_pci *iommu = find(machine);

    return iommu ? iommu->unit : NULL;
}

bool virtio_iommu_get_viot(struct machine *machine, struct acpi_viot *viot)
{
    const struct virtio_iommu_pci *iommu = find(machine);

    if (iommu) {
        viot->iommu = pci_requester_id(&iommu->virtio.pci);
    }
    return iommu != NULL;
}

/* ---- Saved state ---- */

static void iommu_before_save(struct virtio_device *device)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);

    iommu_config_read(device);
    g_byte_array_set_size(iommu->saved, 0);
    virtio_iommu_save(iommu->unit, iommu->saved);
}

/* Before any device behind it is loaded, for it was made before them. */
static bool iommu_after_load(struct virtio_device *device)
{
    struct virtio_iommu_pci *iommu = iommu_of(device);
    uint8_t bypass = device->config[VIRTIO_IOMMU_CONFIG_BYPASS];

    if (bypass > 1 || !virtio_iommu_load(iommu->unit, iommu->saved->data, iommu->saved->len)) {
        return false;
    }
    fill_config(iommu); /* as this machine is configured */
    device->config[VIRTIO_IOMMU_CONFIG_BYPASS] = bypass;
    virtio_iommu_set_bypass(iommu->unit, bypass);
    iommu_features_set(device);
    return true;
}

static const struct state_field iommu_fields[] = {
    VIRTIO_STATE_FIELDS,
    {"domains", STATE_BUFFER, offsetof(struct virtio_iommu_pci, saved), SAVED_MAX, 1},
    STATE_END,
};

static const struct state_description iommu_state = {
    .name = "virtio-iommu",
    .version = 1,
    .fields = iommu_fields,
    VIRTIO_STATE_HOOKS,
};

static const struct property iommu_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"boot-bypass", PROPERTY_BOOL, offsetof(struct virtio_iommu_pci, boot_bypass), "on", 0, 0,
     "until the guest decides, devices see memory as it is; off: they see none"},
    {"aw-bits", PROPERTY_UINT8, offsetof(struct virtio_iommu_pci, address_width), "48", 32, 52,
     "width of DMA addresses"},
    PROPERTY_END,
};

static const struct virtio_class iommu_class = {
    .name = "virtio-iommu",
    .device_id = 23,
    .features = VIRTIO_FEATURE(VIRTIO_IOMMU_F_INPUT_RANGE) |
                VIRTIO_FEATURE(VIRTIO_IOMMU_F_DOMAIN_RANGE) |
                VIRTIO_FEATURE(VIRTIO_IOMMU_F_MAP_UNMAP) | VIRTIO_FEATURE(VIRTIO_IOMMU_F_PROBE) |
                VIRTIO_FEATURE(VIRTIO_IOMMU_F_MMIO) | VIRTIO_FEATURE(VIRTIO_IOMMU_F_BYPASS_CONFIG),
    .config_size = VIRTIO_IOMMU_CONFIG_SIZE,
    .realize = iommu_realize,
    .unrealize = iommu_unrealize,
    .features_set = iommu_features_set,
    .config_read = iommu_config_read,
    .config_written = iommu_config_written,
    .reset = iommu_reset,
    .is_resetting = iommu_is_resetting,
    .stop = iommu_stop,
    .before_save = iommu_before_save,
    .after_load = iommu_after_load,
};

static const struct virtio_pci_class iommu_pci_class = {
    .pci = {.vendor_id = 0x1af4,
            .subsystem_vendor_id = 0x1af4,
            .subsystem_id = 0x1100,
            .class_code = 0x080600, /* IOMMU */
            .revision = 1,
            .interrupt_pin = 1,
            .config_written = virtio_pci_config_written,
            .config_read = virtio_pci_config_read},
    .virtio = &iommu_class,
    .non_transitional = true,
};

/* What other virtio devices have as properties is no choice here: its rings are never behind an
 * IOMMU, and its thread is its own. */
static bool iommu_pci_realize(struct device *device, GError **error)
{
    struct virtio_device *virtio = (struct virtio_device *)device;

    if (device->machine->engine->attaches) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "engine '%s' does not let guests know of it: their tables are not ours",
                          device->machine->engine->name);
    }
    virtio->event_index = virtio->indirect = true;
    virtio->pci_options.vectors = UINT32_MAX;
    return virtio_pci_realize(device, error);
}

/* The binding of virtio,pci-iommu: all functions but itself, under their requester IDs. */
static void iommu_describe(struct device *device, struct device_tree *tree, struct device_node *bus)
{
    static const char *const compatible[] = {"virtio,pci-iommu", "pci1af4,1057", NULL};
    const struct pci_device *pci = (const struct pci_device *)device;
    struct device_node *node = pci_tree_add_function(bus, pci);
    uint32_t self = pci_requester_id(pci), phandle = device_node_phandle(node);

    device_node_set_strings(node, "compatible", compatible);
    device_node_set(node, "#iommu-cells", 1);
    device_node_set(bus, "iommu-map", 0, phandle, 0, self, self + 1, phandle, self + 1,
                    UINT16_MAX - self);
}

const struct device_class virtio_iommu_pci_class = {
    .name = "virtio-iommu-pci",
    .alias = "virtio-iommu",
    .description = "IOMMU whose guest sends it requests (board pc)",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct virtio_iommu_pci),
    .user_creatable = true,
    .cold_only = true,
    .comes_first = true,
    .properties = iommu_properties,
    .facts = virtio_facts,
    .state = &iommu_state,
    .realize = iommu_pci_realize,
    .unrealize = virtio_pci_unrealize,
    .reset = iommu_pci_reset,
    .bus_class = &iommu_pci_class,
    .describe = iommu_describe,
};
