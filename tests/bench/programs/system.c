/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's part: processes, system calls, page faults, a pipe between two processes, ports. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The program itself, started with "exit", ends at once. */
uint64_t bench_fork(unsigned work)
{
    uint64_t ended = 0;

    for (unsigned i = 0; i < work; i++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "bench", "exit", (char *)NULL);
            execl("/init", "bench", "exit", (char *)NULL); /* no /proc is mounted */
            _exit(1);
        }
        waitpid(child, &status, 0);
        ended += child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return ended;
}

uint64_t bench_syscalls(unsigned work)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < work * 1000; i++) {
        sum += syscall(SYS_getppid) >= 0;
        sum += syscall(SYS_getuid) >= 0;
    }
    return sum;
}

/* First touch of anonymous pages, then their way back. */
uint64_t bench_faults(unsigned work)
{
    enum { PAGES = 256, PAGE = 4096 };
    uint64_t sum = 0;

    for (unsigned round = 0; round < work; round++) {
        uint8_t *memory =
            mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            return 0;
        }
        for (unsigned i = 0; i < PAGES; i++) {
            memory[i * PAGE + i] = i;
            sum += memory[i * PAGE] + 1;
        }
        munmap(memory, PAGES * PAGE);
    }
    return sum;
}

static void echo(int from, int to)
{
    uint32_t value;

    while (read(from, &value, sizeof(value)) == sizeof(value)) {
        value = value * 5 + 1;
        if (write(to, &value, sizeof(value)) != sizeof(value)) {
            break;
        }
    }
    _exit(0);
}

uint64_t bench_pingpong(unsigned work)
{
    int there[2], back[2];
    uint32_t value = 1;

    if (pipe(there) != 0 || pipe(back) != 0) {
        return 0;
    }
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        echo(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    for (unsigned i = 0; i < work * 100; i++) {
        if (write(there[1], &value, sizeof(value)) != sizeof(value) ||
            read(back[0], &value, sizeof(value)) != sizeof(value)) {
            value = 0;
            break;
        }
    }
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    return value;
}

/* Port 80h takes power-on codes and harms nobody. 0: this system gives no access to it. */
uint64_t bench_ports(unsigned work)
{
    uint64_t done = 0;

    if (ioperm(0x80, 1, 1) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < work * 1000; i++) {
        outb(i & 0xff, 0x80);
        inb(0x80);
        done++;
    }
    ioperm(0x80, 1, 0);
    return done;
}
