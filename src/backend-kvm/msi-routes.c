/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM's table of interrupt routes: from a GSI to pins of the kernel's controllers or to a
 * message. The first ones are the board's: with all controllers in the kernel, their pins; in split
 * mode, the level-triggered messages of the IOAPIC here, from which the kernel knows whose EOIs it
 * has to tell. Those beyond are for event descriptors, one each.
 */
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define ISA_GSIS     16
#define TIMER_PIN    2 /* of the IOAPIC: GSI 0 */
#define CASCADE      2
#define ROUTES_LIMIT 4096

struct irqfd {
    struct msi_routes *routes;
    int fd, resample_fd; /* the latter -1: none */
    unsigned gsi;
    bool is_message; /* the GSI is its own */
    struct msi_message message;
};

struct msi_routes {
    struct kvm_machine *kvm;
    pthread_mutex_t lock; /* leaf */
    unsigned limit;       /* GSIs that the kernel has */
    GPtrArray *messages;  /* struct irqfd by GSI, from MACHINE_GSI_COUNT on; NULL: free */
    struct msi_message ioapic[MACHINE_GSI_COUNT];
    bool ioapic_level[MACHINE_GSI_COUNT];
};

struct msi_routes *kvm_routes_new(struct kvm_machine *kvm)
{
    struct msi_routes *routes = g_new0(struct msi_routes, 1);

    routes->kvm = kvm;
    routes->limit = (unsigned)MIN(kvm_api_check(&kvm->api, KVM_CAP_IRQ_ROUTING), ROUTES_LIMIT);
    routes->messages = g_ptr_array_new();
    pthread_mutex_init(&routes->lock, NULL);
    return routes;
}

void kvm_routes_free(struct msi_routes *routes)
{
    if (routes) {
        g_ptr_array_unref(routes->messages);
        pthread_mutex_destroy(&routes->lock);
        g_free(routes);
    }
}

/* The table as the kernel takes it. */

struct route_list {
    struct kvm_irq_routing *table;
    unsigned room;
};

static struct kvm_irq_routing_entry *append(struct route_list *list, unsigned gsi)
{
    struct kvm_irq_routing_entry *entry;

    if (list->table->nr == list->room) {
        list->room *= 2;
        list->table = g_realloc(list->table, sizeof(*list->table) + list->room * sizeof(*entry));
    }
    entry = &list->table->entries[list->table->nr++];
    memset(entry, 0, sizeof(*entry));
    entry->gsi = gsi;
    return entry;
}

static void append_pin(struct route_list *list, unsigned gsi, unsigned chip, unsigned pin)
{
    struct kvm_irq_routing_entry *entry = append(list, gsi);

    entry->type = KVM_IRQ_ROUTING_IRQCHIP;
    entry->u.irqchip.irqchip = chip;
    entry->u.irqchip.pin = pin;
}

static void append_message(struct route_list *list, unsigned gsi, const struct msi_message *message)
{
    struct kvm_irq_routing_entry *entry = append(list, gsi);

    entry->type = KVM_IRQ_ROUTING_MSI;
    entry->u.msi.address_lo = (uint32_t)message->address;
    entry->u.msi.address_hi = (uint32_t)(message->address >> 32);
    entry->u.msi.data = message->data;
}

static void append_board(const struct msi_routes *routes, struct route_list *list)
{
    for (unsigned gsi = 0; gsi < MACHINE_GSI_COUNT; gsi++) {
        if (routes->kvm->irqchip == KERNEL_IRQCHIP_SPLIT) {
            if (routes->ioapic_level[gsi]) {
                append_message(list, gsi, &routes->ioapic[gsi]);
            }
            continue;
        }
        if (gsi < ISA_GSIS && gsi != CASCADE) {
            append_pin(list, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                       gsi % 8);
        }
        if (gsi != CASCADE) {
            append_pin(list, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? TIMER_PIN : gsi);
        }
    }
}

/* Under the lock. 0 or -errno. */
static int commit(struct msi_routes *routes)
{
    struct route_list list = {.room = 64};
    int result;

    if (routes->kvm->irqchip == KERNEL_IRQCHIP_OFF) {
        return 0;
    }
    list.table = g_malloc0(sizeof(*list.table) + list.room * sizeof(struct kvm_irq_routing_entry));
    append_board(routes, &list);
    for (unsigned i = 0; i < routes->messages->len; i++) {
        const struct irqfd *irqfd = g_ptr_array_index(routes->messages, i);

        if (irqfd) {
            append_message(&list, irqfd->gsi, &irqfd->message);
        }
    }
    result = kvm_vm_ioctl(&routes->kvm->api, KVM_SET_GSI_ROUTING, list.table);
    g_free(list.table);
    return result;
}

static bool explain(int result, GError **error)
{
    return result >= 0 ||
           duodm_fail(error, DUODM_ERROR_FAILED, "kvm: interrupt routes: %s", g_strerror(-result));
}

bool kvm_routes_commit(struct msi_routes *routes, GError **error)
{
    int result;

    pthread_mutex_lock(&routes->lock);
    result = commit(routes);
    pthread_mutex_unlock(&routes->lock);
    return explain(result, error);
}

void kvm_set_ioapic_route(struct machine *machine, unsigned pin, const struct msi_message *message,
                          bool level)
{
    struct msi_routes *routes = kvm_of(machine)->routes;
    bool change;

    if (kvm_of(machine)->irqchip != KERNEL_IRQCHIP_SPLIT || pin >= MACHINE_GSI_COUNT) {
        return;
    }
    pthread_mutex_lock(&routes->lock);
    change = level != routes->ioapic_level[pin] ||
             (level && (message->address != routes->ioapic[pin].address ||
                        message->data != routes->ioapic[pin].data));
    routes->ioapic[pin] = *message;
    routes->ioapic_level[pin] = level;
    if (change && commit(routes) < 0) {
        log_warning("kvm: the route of IOAPIC pin %u can't be set: its interrupts may stop", pin);
    }
    pthread_mutex_unlock(&routes->lock);
}

bool kvm_deliver_msi(struct machine *machine, const struct msi_message *message)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)message->address,
        .address_hi = (uint32_t)(message->address >> 32),
        .data = message->data,
    };

    return kvm_vm_ioctl(&kvm_of(machine)->api, KVM_SIGNAL_MSI, &msi) > 0;
}

/* Event descriptors. */

static int assign(const struct irqfd *irqfd, uint32_t flags)
{
    struct kvm_irqfd request = {
        .fd = (uint32_t)irqfd->fd,
        .gsi = irqfd->gsi,
        .flags = flags,
    };

    if (irqfd->resample_fd >= 0 && !(flags & KVM_IRQFD_FLAG_DEASSIGN)) {
        request.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        request.resamplefd = (uint32_t)irqfd->resample_fd;
    }
    return kvm_vm_ioctl(&irqfd->routes->kvm->api, KVM_IRQFD, &request);
}

static struct irqfd *irqfd_new(struct machine *machine, int fd, int resample_fd)
{
    struct irqfd *irqfd = g_new0(struct irqfd, 1);

    irqfd->routes = kvm_of(machine)->routes;
    irqfd->fd = fd;
    irqfd->resample_fd = resample_fd;
    return irqfd;
}

/* A GSI of its own, with a route. Under the lock. */
static bool take_gsi(struct irqfd *irqfd, GError **error)
{
    struct msi_routes *routes = irqfd->routes;
    unsigned index = 0;

    while (index < routes->messages->len && g_ptr_array_index(routes->messages, index)) {
        index++;
    }
    irqfd->gsi = MACHINE_GSI_COUNT + index;
    if (irqfd->gsi >= routes->limit) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "kvm: all %u interrupt routes are used: give devices fewer vectors",
                          routes->limit);
    }
    if (index == routes->messages->len) {
        g_ptr_array_add(routes->messages, NULL);
    }
    g_ptr_array_index(routes->messages, index) = irqfd;
    return true;
}

static void give_gsi(struct irqfd *irqfd)
{
    g_ptr_array_index(irqfd->routes->messages, irqfd->gsi - MACHINE_GSI_COUNT) = NULL;
}

static struct irqfd *attach_msi(struct machine *machine, int fd, const struct msi_message *message,
                                GError **error)
{
    struct irqfd *irqfd = irqfd_new(machine, fd, -1);
    struct msi_routes *routes = irqfd->routes;
    int result;

    irqfd->is_message = true;
    irqfd->message = *message;
    pthread_mutex_lock(&routes->lock);
    if (!take_gsi(irqfd, error)) {
        pthread_mutex_unlock(&routes->lock);
        g_free(irqfd);
        return NULL;
    }
    result = commit(routes);
    if (result >= 0) {
        result = assign(irqfd, 0);
    }
    if (result < 0) {
        give_gsi(irqfd);
        commit(routes);
    }
    pthread_mutex_unlock(&routes->lock);
    if (!explain(result, error)) {
        g_free(irqfd);
        return NULL;
    }
    return irqfd;
}

static struct irqfd *attach_gsi(struct machine *machine, int fd, int resample_fd, unsigned gsi,
                                GError **error)
{
    struct irqfd *irqfd;
    int result;

    if (kvm_of(machine)->irqchip != KERNEL_IRQCHIP_ON || gsi >= MACHINE_GSI_COUNT) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "an event descriptor for interrupt line %u needs kernel-irqchip=on", gsi);
        return NULL;
    }
    irqfd = irqfd_new(machine, fd, resample_fd);
    irqfd->gsi = gsi;
    result = assign(irqfd, 0);
    if (!explain(result, error)) {
        g_free(irqfd);
        return NULL;
    }
    return irqfd;
}

static bool set_message(struct irqfd *irqfd, const struct msi_message *message, GError **error)
{
    struct msi_message old = irqfd->message;
    int result;

    pthread_mutex_lock(&irqfd->routes->lock);
    irqfd->message = *message;
    result = commit(irqfd->routes);
    if (result < 0) {
        irqfd->message = old;
    }
    pthread_mutex_unlock(&irqfd->routes->lock);
    return explain(result, error);
}

static void detach(struct irqfd *irqfd)
{
    struct msi_routes *routes = irqfd->routes;

    pthread_mutex_lock(&routes->lock);
    assign(irqfd, KVM_IRQFD_FLAG_DEASSIGN);
    if (irqfd->is_message) {
        give_gsi(irqfd);
        commit(routes);
    }
    pthread_mutex_unlock(&routes->lock);
    g_free(irqfd);
}

const struct irqfd_ops kvm_irqfd_ops = {
    .attach_msi = attach_msi,
    .attach_gsi = attach_gsi,
    .set_message = set_message,
    .detach = detach,
};
