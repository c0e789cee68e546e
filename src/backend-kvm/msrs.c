/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which MSRs make up a vCPU's state, and what happens to those that the kernel doesn't know. */
#include "backend-kvm/kvm-machine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Other names of 4b564d00h and 4b564d01h. */
#define MSR_KVM_WALL_CLOCK_OLD  0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12

/* Kept by the kernel, but not in its list: MTRRs. */
static const uint32_t more_msrs[] = {
    0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209,
    0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x250, 0x258, 0x259, 0x268,
    0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, 0x2ff,
};

static bool is_listed(const struct kvm_msr_list *list, uint32_t msr)
{
    for (unsigned i = 0; i < list->nmsrs; i++) {
        if (list->indices[i] == msr) {
            return true;
        }
    }
    return false;
}

bool kvm_find_msrs(struct kvm_machine *kvm, GError **error)
{
    struct kvm_msr_list *list =
        g_malloc0(sizeof(*list) + KVM_STATE_MSR_MAX * sizeof(list->indices[0]));
    unsigned count = 0;
    int result;

    list->nmsrs = KVM_STATE_MSR_MAX - G_N_ELEMENTS(more_msrs);
    result = kvm_ioctl(kvm->api.device_fd, KVM_GET_MSR_INDEX_LIST, list);
    if (result < 0) {
        g_free(list);
        return duodm_fail(error, DUODM_ERROR_FAILED, "kvm: the list of MSRs: %s",
                          g_strerror(-result));
    }
    for (unsigned i = 0; i < list->nmsrs; i++) {
        uint32_t msr = list->indices[i];

        if (msr != MSR_KVM_WALL_CLOCK_OLD && msr != MSR_KVM_SYSTEM_TIME_OLD) {
            list->indices[count++] = msr;
        }
    }
    list->nmsrs = count;
    for (unsigned i = 0; i < G_N_ELEMENTS(more_msrs); i++) {
        if (!is_listed(list, more_msrs[i])) {
            list->indices[list->nmsrs++] = more_msrs[i];
        }
    }
    kvm->msrs = list;
    return true;
}

bool kvm_set_unknown_msr_policy(struct kvm_machine *kvm, GError **error)
{
    int result;

    if (!(kvm_api_check(&kvm->api, KVM_CAP_X86_USER_SPACE_MSR) & KVM_MSR_EXIT_REASON_UNKNOWN)) {
        return !kvm->ignore_msrs ||
               duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "unknown-msr=ignore needs Linux 5.10: set the kvm module's parameter "
                          "ignore_msrs instead");
    }
    result = kvm_api_enable(&kvm->api, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
    return result >= 0 || duodm_fail(error, DUODM_ERROR_FAILED, "kvm: exits for unknown MSRs: %s",
                                     g_strerror(-result));
}

void kvm_handle_rdmsr(struct kvm_vcpu *v)
{
    log_item(LOG_GUEST_ERRORS, "CPU %u: RDMSR of 0x%" PRIx32 ", which the kernel doesn't know\n",
             v->vcpu->index, v->run->msr.index);
    v->run->msr.data = 0;
    v->run->msr.error = !v->kvm->ignore_msrs;
}

void kvm_handle_wrmsr(struct kvm_vcpu *v)
{
    log_item(LOG_GUEST_ERRORS,
             "CPU %u: WRMSR of 0x%" PRIx64 " to 0x%" PRIx32 ", which the kernel doesn't know\n",
             v->vcpu->index, (uint64_t)v->run->msr.data, v->run->msr.index);
    v->run->msr.error = !v->kvm->ignore_msrs;
}

bool kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const struct kvm_vcpu *v = vcpu->engine;
    g_autofree struct kvm_msrs *one = g_malloc0(sizeof(*one) + sizeof(one->entries[0]));

    one->nmsrs = 1;
    one->entries[0] = (struct kvm_msr_entry){.index = msr, .data = value};
    return kvm_ioctl(v->fd, KVM_SET_MSRS, one) == 1;
}
