/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /dev/kvm: opening it, making a VM, and what this kernel's KVM can do. */
#ifndef DUODM_BACKEND_KVM_KVM_API_H
#define DUODM_BACKEND_KVM_KVM_API_H

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVM_DEVICE_PATH "/dev/kvm"

struct kvm_api {
    int device_fd;   /* of /dev/kvm */
    int vm_fd;       /* -1 before kvm_api_create_vm */
    size_t run_size; /* bytes of a vCPU's shared page and what follows it */
};

/* Open the device and check that it has what the engine can't do without. Errors say what to do. */
bool kvm_api_open(struct kvm_api *api, const char *path, GError **error);
bool kvm_api_create_vm(struct kvm_api *api, GError **error);
void kvm_api_close(struct kvm_api *api);

/* KVM_CHECK_EXTENSION, of the VM once there is one: 0 no, else yes or a number. */
int kvm_api_check(const struct kvm_api *api, unsigned capability);

/* ioctls that repeat when a signal interrupts them; the result, or -errno. */
int kvm_ioctl(int fd, unsigned long request, void *argument);
static inline int kvm_vm_ioctl(const struct kvm_api *api, unsigned long request, void *argument)
{
    return kvm_ioctl(api->vm_fd, request, argument);
}
/* KVM_ENABLE_CAP of the VM; the result, or -errno. */
int kvm_api_enable(const struct kvm_api *api, unsigned capability, uint64_t argument);

#endif
