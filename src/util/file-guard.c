/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/file-guard.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE ((uintptr_t)4096)

/*
 * A place in the list. The signal handler looks at all of them without a lock: length is 0 while a
 * place is free, set last and taken away first. Places are never freed, but used again.
 */
struct file_guard {
    uintptr_t start;  /* atomic */
    uintptr_t length; /* bytes; atomic */
    struct file_guard_owner *owner;
    struct file_guard *next; /* set once */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of adding and removing */
static struct file_guard *guards;                        /* atomic */
static struct sigaction others; /* what was there before our handler; set before it is */
static bool is_installed;       /* under the lock */

/* Async-signal-safe, as all that it calls. */
static bool replace(const struct file_guard *guard, uintptr_t start, uintptr_t length)
{
    struct file_guard_owner *owner = guard->owner;
    int notify = __atomic_load_n(&owner->notify, __ATOMIC_SEQ_CST);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    void *host = (void *)start;

    if (mmap(host, length, PROT_READ | PROT_WRITE,
             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != host) {
        return false;
    }
    if (owner->is_device) {
        memset(host, 0xff, length);
    }
    __atomic_store_n(&owner->cut, true, __ATOMIC_SEQ_CST);
    if (notify >= 0) {
        eventfd_write(notify, 1);
    }
    return true;
}

/* Async-signal-safe. */
static bool replace_at(uintptr_t address)
{
    for (struct file_guard *guard = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); guard;
         guard = guard->next) {
        uintptr_t length = __atomic_load_n(&guard->length, __ATOMIC_ACQUIRE);
        uintptr_t start = __atomic_load_n(&guard->start, __ATOMIC_ACQUIRE);

        if (length && address - start < length) {
            /* A device's page alone: its memory may be larger than what we can fill with ones. */
            return guard->owner->is_device ? replace(guard, address & ~(PAGE - 1), PAGE)
                                           : replace(guard, start, length);
        }
    }
    return false;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    int interrupted = errno; /* between a call and who looks at its error, perhaps */

    if (info->si_code != BUS_ADRERR || !replace_at((uintptr_t)info->si_addr)) {
        sigaction(SIGBUS, &others, NULL); /* it comes again, and goes there */
    }
    errno = interrupted;
}

/* Under the lock. */
static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

    if (!is_installed) {
        sigaction(SIGBUS, NULL, &others);
        sigaction(SIGBUS, &action, NULL);
        is_installed = true;
    }
}

struct file_guard *file_guard_add(void *host, size_t length, struct file_guard_owner *owner)
{
    struct file_guard *guard;

    pthread_mutex_lock(&lock);
    install();
    for (guard = guards; guard && guard->length; guard = guard->next) {
    }
    if (!guard) {
        guard = g_new0(struct file_guard, 1);
        guard->next = guards;
        __atomic_store_n(&guards, guard, __ATOMIC_RELEASE);
    }
    guard->owner = owner;
    __atomic_store_n(&guard->start, (uintptr_t)host, __ATOMIC_RELEASE);
    __atomic_store_n(&guard->length, length, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    return guard;
}

void file_guard_remove(struct file_guard *guard)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(&guard->length, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

/* Is the last byte there? What is cut off is at the end. */
static bool is_whole(uintptr_t start, uintptr_t length)
{
    char byte;
    struct iovec here = {&byte, 1};
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    struct iovec there = {(void *)(start + length - 1), 1};

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

bool file_guard_repair(void)
{
    bool repaired = false;

    pthread_mutex_lock(&lock);
    for (struct file_guard *guard = guards; guard; guard = guard->next) {
        if (guard->length && !guard->owner->is_device && !is_whole(guard->start, guard->length)) {
            repaired |= replace(guard, guard->start, guard->length);
        }
    }
    pthread_mutex_unlock(&lock);
    return repaired;
}
