/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the mocks of a kernel and of a hypervisor have in common: a folder that the variable of the
 * environment MOCK_FOLDER names (a macro), with a file of settings ("device", lines NAME VALUE), a
 * log of all that was asked, and "fail", "ROUND n ERRNO": the n-th request of that round fails.
 */
#ifndef DUODM_TESTS_LIB_MOCK_H
#define DUODM_TESTS_LIB_MOCK_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *folder(void)
{
    return getenv(MOCK_FOLDER);
}

static void path_of(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", folder(), name);
}

static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    char path[512], line[8192];
    va_list arguments;
    int fd, length;

    path_of(path, sizeof(path), "log");
    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
        if (write(fd, line, (size_t)length) < 0) {
            abort();
        }
        (void)syscall(SYS_close, fd);
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    char path[512], key[32];
    uint64_t value;
    FILE *file;

    path_of(path, sizeof(path), "device");
    file = fopen(path, "r");
    while (file && fscanf(file, "%31s %" SCNu64, key, &value) == 2) {
        if (strcmp(key, name) == 0) {
            otherwise = value;
        }
    }
    if (file) {
        fclose(file);
    }
    return otherwise;
}

/* Is this request to fail? errno says how. */
static bool injected(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned calls, last_round;
    char path[512];
    unsigned at = 0, round = 0;
    int error = 0;
    FILE *file;
    bool hit;

    path_of(path, sizeof(path), "fail");
    file = fopen(path, "r");
    if (!file) {
        return false;
    }
    if (fscanf(file, "%u %u %d", &round, &at, &error) != 3) {
        at = 0;
    }
    fclose(file);
    pthread_mutex_lock(&lock);
    if (round != last_round) {
        last_round = round;
        calls = 0;
    }
    hit = ++calls == at;
    pthread_mutex_unlock(&lock);
    if (hit) {
        say("injected %d\n", error);
        errno = error;
    }
    return hit;
}

#endif
