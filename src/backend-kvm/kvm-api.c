/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend-kvm/kvm-api.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

int kvm_ioctl(int fd, unsigned long request, void *argument)
{
    int result;

    do {
        result = ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

int kvm_api_check(const struct kvm_api *api, unsigned capability)
{
    int fd = api->vm_fd >= 0 ? api->vm_fd : api->device_fd;
    int result = kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)capability);

    return MAX(result, 0);
}

int kvm_api_enable(const struct kvm_api *api, unsigned capability, uint64_t argument)
{
    struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};

    return kvm_vm_ioctl(api, KVM_ENABLE_CAP, &cap);
}

static bool open_device(struct kvm_api *api, const char *path, GError **error)
{
    api->device_fd = open(path, O_RDWR | O_CLOEXEC);
    if (api->device_fd >= 0) {
        return true;
    }
    switch (errno) {
    case EACCES:
    case EPERM:
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "kvm: no permission for %s: join the group that may use it, usually the "
                          "group kvm (usermod -aG kvm NAME, then log in again)",
                          path);
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "kvm: there is no %s: load the module (modprobe kvm_intel or kvm_amd; "
                          "virtualisation must be enabled in the firmware)",
                          path);
    default:
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "kvm: %s can't be opened: %s", path,
                          g_strerror(errno));
    }
}

static bool check_version(const struct kvm_api *api, const char *path, GError **error)
{
    int version = kvm_ioctl(api->device_fd, KVM_GET_API_VERSION, NULL);

    if (version < 0) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "kvm: %s is no KVM device: %s", path,
                          g_strerror(-version));
    }
    return version == KVM_API_VERSION ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "kvm: %s speaks version %d of its interface, not %d: use another kernel",
                      path, version, KVM_API_VERSION);
}

/* All of these are there since Linux 4.12. */
static bool check_capabilities(const struct kvm_api *api, GError **error)
{
    static const struct {
        unsigned capability;
        const char *name;
    } needed[] = {
        {KVM_CAP_USER_MEMORY, "user memory"},
        {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removal of memory slots"},
        {KVM_CAP_READONLY_MEM, "read-only memory slots"},
        {KVM_CAP_IRQCHIP, "interrupt controllers"},
        {KVM_CAP_IRQ_ROUTING, "interrupt routes"},
        {KVM_CAP_SIGNAL_MSI, "message-signalled interrupts"},
        {KVM_CAP_IRQFD, "irqfd"},
        {KVM_CAP_IOEVENTFD, "ioeventfd"},
        {KVM_CAP_MP_STATE, "processor states"},
        {KVM_CAP_VCPU_EVENTS, "pending events"},
        {KVM_CAP_DEBUGREGS, "debug registers"},
        {KVM_CAP_XSAVE, "XSAVE"},
        {KVM_CAP_XCRS, "XCRs"},
        {KVM_CAP_EXT_CPUID, "CPUID"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!kvm_api_check(api, needed[i].capability)) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "kvm: this kernel's KVM is too old (no %s): Linux 4.12 is needed",
                              needed[i].name);
        }
    }
    return true;
}

bool kvm_api_open(struct kvm_api *api, const char *path, GError **error)
{
    int size;

    *api = (struct kvm_api){.device_fd = -1, .vm_fd = -1};
    if (!open_device(api, path, error)) {
        return false;
    }
    if (!check_version(api, path, error) || !check_capabilities(api, error)) {
        kvm_api_close(api);
        return false;
    }
    size = kvm_ioctl(api->device_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (size < (int)sizeof(struct kvm_run)) {
        kvm_api_close(api);
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "kvm: %s gives no size for a vCPU's shared memory", path);
    }
    api->run_size = (size_t)size;
    return true;
}

bool kvm_api_create_vm(struct kvm_api *api, GError **error)
{
    int fd = kvm_ioctl(api->device_fd, KVM_CREATE_VM, NULL);

    if (fd == -EBUSY) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "kvm: another hypervisor holds the processor's virtualisation: end its "
                          "machines, or use -accel tcg");
    }
    if (fd < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED,
                          "kvm: no virtual machine can be made: %s; see the kernel's log (dmesg), "
                          "or use -accel tcg",
                          g_strerror(-fd));
    }
    api->vm_fd = fd;
    return true;
}

void kvm_api_close(struct kvm_api *api)
{
    if (api->vm_fd >= 0) {
        close(api->vm_fd);
    }
    if (api->device_fd >= 0) {
        close(api->device_fd);
    }
    api->vm_fd = api->device_fd = -1;
}
