/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor under any device model: exits to user space that nobody looks at. One processor for
 * each thread in real mode, writing a port in a loop. Prints exits per second for 1 and 2 of them.
 *
 *     bare-exits COUNT
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096u
#define CODE 0x1000u

static const uint8_t loop[] = {0xee, 0xeb, 0xfd}; /* OUT DX, AL; JMP to it */

struct processor {
    int fd;
    struct kvm_run *run;
    unsigned count; /* of exits to take */
};

static void make_processor(struct processor *p, int kvm, int vm, unsigned index)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = CODE, .rdx = 0x3ff, .rflags = 2};

    p->fd = ioctl(vm, KVM_CREATE_VCPU, index);
    p->run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
                  MAP_SHARED, p->fd, 0);
    if (p->fd < 0 || p->run == MAP_FAILED || ioctl(p->fd, KVM_GET_SREGS, &sregs) < 0) {
        err(1, "a processor");
    }
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(p->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(p->fd, KVM_SET_REGS, &regs) < 0) {
        err(1, "its registers");
    }
}

static void *run(void *opaque)
{
    struct processor *p = opaque;

    for (unsigned i = 0; i < p->count; i++) {
        if (ioctl(p->fd, KVM_RUN, 0) < 0 || p->run->exit_reason != KVM_EXIT_IO) {
            err(1, "KVM_RUN, exit reason %u", p->run->exit_reason);
        }
    }
    return NULL;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(struct processor *processors, unsigned number)
{
    pthread_t threads[2];
    double start = seconds();

    for (unsigned i = 0; i < number; i++) {
        if (pthread_create(&threads[i], NULL, run, &processors[i]) != 0) {
            errx(1, "no thread");
        }
    }
    for (unsigned i = 0; i < number; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("exits/s, %u vCPU: %.0f\n", number, number * processors[0].count / (seconds() - start));
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC),
        vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
    uint8_t *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = CODE, .memory_size = PAGE, .userspace_addr = (uintptr_t)memory};
    struct processor processors[2] = {{.count = count}, {.count = count}};

    if (vm < 0 || memory == MAP_FAILED) {
        err(1, "/dev/kvm");
    }
    memcpy(memory, loop, sizeof(loop));
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        err(1, "memory");
    }
    for (unsigned i = 0; i < 2; i++) {
        make_processor(&processors[i], kvm, vm, i);
    }
    measure(processors, 1);
    measure(processors, 2);
    return 0;
}
