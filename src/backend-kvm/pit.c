/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's 8254, with port 61h. */
#include "backend-kvm/kvm-machine.h"
#include "dm/device.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define CHANNELS 3

struct kvm_pit {
    struct device device;
    char *lost_tick_policy; /* property */
    struct kvm_pit_state2 state;
    bool is_state_kept; /* state holds what the kernel's had when the machine stopped */
};

static const struct kvm_api *api_of(const struct kvm_pit *pit)
{
    return &kvm_of(pit->device.machine)->api;
}

static bool put(struct kvm_pit *pit)
{
    int result = kvm_vm_ioctl(api_of(pit), KVM_SET_PIT2, &pit->state);

    if (result < 0) {
        log_warning("kvm: the timer can't be set: %s", g_strerror(-result));
    }
    return result >= 0;
}

static void get(struct kvm_pit *pit)
{
    kvm_vm_ioctl(api_of(pit), KVM_GET_PIT2, &pit->state);
}

/* Ticks that the guest was too slow to take: given later, or never. */
static bool set_policy(struct kvm_pit *pit, GError **error)
{
    bool reinject = g_str_equal(pit->lost_tick_policy, "delay");
    struct kvm_reinject_control control = {.pit_reinject = reinject};
    int result;

    if (!reinject && !g_str_equal(pit->lost_tick_policy, "discard")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "lost_tick_policy: '%s' is not valid: delay or discard is expected",
                          pit->lost_tick_policy);
    }
    if (!kvm_api_check(api_of(pit), KVM_CAP_REINJECT_CONTROL)) {
        return true;
    }
    result = kvm_vm_ioctl(api_of(pit), KVM_REINJECT_CONTROL, &control);
    return result >= 0 ||
           duodm_fail(error, DUODM_ERROR_FAILED, "lost_tick_policy: %s", g_strerror(-result));
}

static bool pit_realize(struct device *device, GError **error)
{
    struct kvm_pit *pit = (struct kvm_pit *)device;
    struct kvm_machine *kvm = kvm_of(device->machine);
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};
    int result = kvm_vm_ioctl(&kvm->api, KVM_CREATE_PIT2, &config);

    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: no timer in the kernel: %s",
                          g_strerror(-result));
    }
    if (!set_policy(pit, error)) {
        return false;
    }
    kvm->pit = pit;
    return true;
}

static void pit_unrealize(struct device *device)
{
    kvm_of(device->machine)->pit = NULL;
}

/* Channels with no count: as the board's 8254, it does nothing before it is programmed. */
static void pit_reset(struct device *device)
{
    struct kvm_pit *pit = (struct kvm_pit *)device;
    uint32_t flags = pit->state.flags & KVM_PIT_FLAGS_HPET_LEGACY;

    pit->state = (struct kvm_pit_state2){.flags = flags};
    for (unsigned i = 0; i < CHANNELS; i++) {
        pit->state.channels[i].mode = 0xff;
        pit->state.channels[i].gate = i != 2;
    }
    put(pit);
}

void kvm_set_pit_disconnected(void *opaque, unsigned number, bool level)
{
    struct kvm_pit *pit = opaque;

    get(pit);
    pit->state.flags &= ~KVM_PIT_FLAGS_HPET_LEGACY;
    pit->state.flags |= level ? KVM_PIT_FLAGS_HPET_LEGACY : 0;
    put(pit);
}

void kvm_pit_set_running(struct kvm_machine *kvm, bool running)
{
    struct kvm_pit *pit = kvm->pit;

    if (!pit) {
        return;
    }
    if (!running) {
        get(pit);
        pit->is_state_kept = true;
    } else if (pit->is_state_kept) {
        put(pit);
        pit->is_state_kept = false;
    }
}

static void pit_before_save(void *object)
{
    struct kvm_pit *pit = object;

    if (!pit->is_state_kept) {
        get(pit);
    }
}

/* It counts from the moment when it is set: so it is set again when the machine runs. */
static bool pit_after_load(void *object)
{
    struct kvm_pit *pit = object;

    pit->is_state_kept = true;
    return put(pit);
}

#define CHANNEL_STATE(i)                                                                           \
    STATE(UINT32, kvm_pit, state.channels[i].count, 1),                                            \
        STATE(UINT16, kvm_pit, state.channels[i].latched_count, 1),                                \
        STATE(UINT8, kvm_pit, state.channels[i].count_latched, 1),                                 \
        STATE(UINT8, kvm_pit, state.channels[i].status_latched, 1),                                \
        STATE(UINT8, kvm_pit, state.channels[i].status, 1),                                        \
        STATE(UINT8, kvm_pit, state.channels[i].read_state, 1),                                    \
        STATE(UINT8, kvm_pit, state.channels[i].write_state, 1),                                   \
        STATE(UINT8, kvm_pit, state.channels[i].write_latch, 1),                                   \
        STATE(UINT8, kvm_pit, state.channels[i].rw_mode, 1),                                       \
        STATE(UINT8, kvm_pit, state.channels[i].mode, 1),                                          \
        STATE(UINT8, kvm_pit, state.channels[i].bcd, 1),                                           \
        STATE(UINT8, kvm_pit, state.channels[i].gate, 1),                                          \
        STATE(INT64, kvm_pit, state.channels[i].count_load_time, 1)

static const struct state_field pit_fields[] = {
    CHANNEL_STATE(0), CHANNEL_STATE(1), CHANNEL_STATE(2), STATE(UINT32, kvm_pit, state.flags, 1),
    STATE_END,
};

static const struct state_description pit_state = {
    .name = "kvm-pit",
    .version = 1,
    .fields = pit_fields,
    .before_save = pit_before_save,
    .after_load = pit_after_load,
};

static const struct property pit_properties[] = {
    {"lost_tick_policy", PROPERTY_STRING | PROPERTY_OF_HOST,
     offsetof(struct kvm_pit, lost_tick_policy), "delay", 0, 0,
     "ticks that the guest misses: delay (given later) or discard"},
    PROPERTY_END,
};

const struct device_class kvm_pit_class = {
    .name = "kvm-pit",
    .description = "8254 timer in the kernel",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct kvm_pit),
    .properties = pit_properties,
    .state = &pit_state,
    .realize = pit_realize,
    .unrealize = pit_unrealize,
    .reset = pit_reset,
};
