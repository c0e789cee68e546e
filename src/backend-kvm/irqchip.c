/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's interrupt controllers. As devices they stand where the board's 8259s and IOAPIC
 * would, so that they are reset, saved and loaded as those are.
 */
#include "backend-kvm/kvm-machine.h"
#include "dm/device.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define IOAPIC_PINS   24
#define IOAPIC_BASE   0xfec00000u
#define ENTRY_MASKED  0x10000u
#define ELCR_MASTER   0xf8 /* inputs that can be level-triggered */
#define ELCR_SLAVE    0xde
#define IDENTITY_BASE 0xfeffc000u /* a page, and three after it, that KVM on Intel needs */
#define TSS_BASE      0xfeffd000u

bool kvm_create_irqchip(struct kvm_machine *kvm, GError **error)
{
    uint64_t identity = IDENTITY_BASE;
    int result = 0;

    if (kvm_api_check(&kvm->api, KVM_CAP_SET_IDENTITY_MAP_ADDR)) {
        kvm_vm_ioctl(&kvm->api, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    }
    if (kvm_api_check(&kvm->api, KVM_CAP_SET_TSS_ADDR)) {
        kvm_vm_ioctl(&kvm->api, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_BASE);
    }
    switch (kvm->irqchip) {
    case KERNEL_IRQCHIP_ON:
        result = kvm_vm_ioctl(&kvm->api, KVM_CREATE_IRQCHIP, NULL);
        break;
    case KERNEL_IRQCHIP_SPLIT:
        if (!kvm_api_check(&kvm->api, KVM_CAP_SPLIT_IRQCHIP)) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "kernel-irqchip=split needs Linux 4.5: use kernel-irqchip=on");
        }
        result = kvm_api_enable(&kvm->api, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
        break;
    default:
        break;
    }
    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: no interrupt controllers: %s",
                          g_strerror(-result));
    }
    /* APIC IDs beyond 254, where the kernel has them. */
    if (kvm->irqchip != KERNEL_IRQCHIP_OFF && kvm_api_check(&kvm->api, KVM_CAP_X2APIC_API)) {
        kvm_api_enable(&kvm->api, KVM_CAP_X2APIC_API,
                       KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
    }
    return true;
}

/* Called often, and by any thread: a failing ioctl could only be told again and again. */
void kvm_set_gsi(void *opaque, unsigned gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    kvm_vm_ioctl(&kvm_of(opaque)->api, KVM_IRQ_LINE, &line);
}

/* One chip's registers, between the kernel and a device. */

static void get_chip(struct device *device, uint32_t id, void *state, size_t size)
{
    struct kvm_irqchip chip = {.chip_id = id};

    if (kvm_vm_ioctl(&kvm_of(device->machine)->api, KVM_GET_IRQCHIP, &chip) == 0) {
        memcpy(state, &chip.chip, size);
    }
}

static bool set_chip(struct device *device, uint32_t id, const void *state, size_t size)
{
    struct kvm_irqchip chip = {.chip_id = id};
    int result;

    memcpy(&chip.chip, state, size);
    result = kvm_vm_ioctl(&kvm_of(device->machine)->api, KVM_SET_IRQCHIP, &chip);
    if (result < 0) {
        log_warning("kvm: %s can't be set: %s", device->class->name, g_strerror(-result));
    }
    return result >= 0;
}

/* Two 8259. */

struct kvm_i8259 {
    struct device device;
    struct kvm_pic_state chips[2];
};

static bool i8259_put(struct kvm_i8259 *pic)
{
    return set_chip(&pic->device, KVM_IRQCHIP_PIC_MASTER, &pic->chips[0], sizeof(pic->chips[0])) &&
           set_chip(&pic->device, KVM_IRQCHIP_PIC_SLAVE, &pic->chips[1], sizeof(pic->chips[1]));
}

static void i8259_reset(struct device *device)
{
    struct kvm_i8259 *pic = (struct kvm_i8259 *)device;

    pic->chips[0] = (struct kvm_pic_state){.elcr_mask = ELCR_MASTER};
    pic->chips[1] = (struct kvm_pic_state){.elcr_mask = ELCR_SLAVE};
    i8259_put(pic);
}

static void i8259_before_save(void *object)
{
    struct kvm_i8259 *pic = object;

    get_chip(&pic->device, KVM_IRQCHIP_PIC_MASTER, &pic->chips[0], sizeof(pic->chips[0]));
    get_chip(&pic->device, KVM_IRQCHIP_PIC_SLAVE, &pic->chips[1], sizeof(pic->chips[1]));
}

static bool i8259_after_load(void *object)
{
    return i8259_put(object);
}

#define PIC_STATE(i)                                                                               \
    STATE(UINT8, kvm_i8259, chips[i].last_irr, 1), STATE(UINT8, kvm_i8259, chips[i].irr, 1),       \
        STATE(UINT8, kvm_i8259, chips[i].imr, 1), STATE(UINT8, kvm_i8259, chips[i].isr, 1),        \
        STATE(UINT8, kvm_i8259, chips[i].priority_add, 1),                                         \
        STATE(UINT8, kvm_i8259, chips[i].irq_base, 1),                                             \
        STATE(UINT8, kvm_i8259, chips[i].read_reg_select, 1),                                      \
        STATE(UINT8, kvm_i8259, chips[i].poll, 1),                                                 \
        STATE(UINT8, kvm_i8259, chips[i].special_mask, 1),                                         \
        STATE(UINT8, kvm_i8259, chips[i].init_state, 1),                                           \
        STATE(UINT8, kvm_i8259, chips[i].auto_eoi, 1),                                             \
        STATE(UINT8, kvm_i8259, chips[i].rotate_on_auto_eoi, 1),                                   \
        STATE(UINT8, kvm_i8259, chips[i].special_fully_nested_mode, 1),                            \
        STATE(UINT8, kvm_i8259, chips[i].init4, 1), STATE(UINT8, kvm_i8259, chips[i].elcr, 1),     \
        STATE(UINT8, kvm_i8259, chips[i].elcr_mask, 1)

static const struct state_field i8259_fields[] = {PIC_STATE(0), PIC_STATE(1), STATE_END};

static const struct state_description i8259_state = {
    .name = "kvm-i8259",
    .version = 1,
    .fields = i8259_fields,
    .before_save = i8259_before_save,
    .after_load = i8259_after_load,
    .receives_lines = true,
};

const struct device_class kvm_i8259_class = {
    .name = "kvm-i8259",
    .description = "two 8259A in the kernel",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct kvm_i8259),
    .state = &i8259_state,
    .reset = i8259_reset,
};

/* IOAPIC. */

struct kvm_ioapic {
    struct device device;
    uint64_t base;
    uint32_t select, id, irr;
    uint64_t entries[IOAPIC_PINS];
};

static bool ioapic_put(struct kvm_ioapic *ioapic)
{
    struct kvm_ioapic_state state = {
        .base_address = ioapic->base,
        .ioregsel = ioapic->select,
        .id = ioapic->id,
        .irr = ioapic->irr,
    };

    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        state.redirtbl[i].bits = ioapic->entries[i];
    }
    return set_chip(&ioapic->device, KVM_IRQCHIP_IOAPIC, &state, sizeof(state));
}

static void ioapic_reset(struct device *device)
{
    struct kvm_ioapic *ioapic = (struct kvm_ioapic *)device;

    ioapic->base = IOAPIC_BASE;
    ioapic->select = ioapic->id = ioapic->irr = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        ioapic->entries[i] = ENTRY_MASKED;
    }
    ioapic_put(ioapic);
}

static void ioapic_before_save(void *object)
{
    struct kvm_ioapic *ioapic = object;
    struct kvm_ioapic_state state = {0};

    get_chip(&ioapic->device, KVM_IRQCHIP_IOAPIC, &state, sizeof(state));
    ioapic->base = state.base_address;
    ioapic->select = state.ioregsel;
    ioapic->id = state.id;
    ioapic->irr = state.irr;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        ioapic->entries[i] = state.redirtbl[i].bits;
    }
}

static bool ioapic_after_load(void *object)
{
    return ioapic_put(object);
}

static const struct state_field ioapic_fields[] = {
    STATE(UINT64, kvm_ioapic, base, 1),
    STATE(UINT32, kvm_ioapic, select, 1),
    STATE(UINT32, kvm_ioapic, id, 1),
    STATE(UINT32, kvm_ioapic, irr, 1),
    STATE_ARRAY(UINT64, kvm_ioapic, entries, IOAPIC_PINS, 1),
    STATE_END,
};

static const struct state_description ioapic_state = {
    .name = "kvm-ioapic",
    .version = 1,
    .fields = ioapic_fields,
    .before_save = ioapic_before_save,
    .after_load = ioapic_after_load,
    .receives_lines = true,
};

const struct device_class kvm_ioapic_class = {
    .name = "kvm-ioapic",
    .description = "I/O APIC in the kernel",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct kvm_ioapic),
    .state = &ioapic_state,
    .reset = ioapic_reset,
};
