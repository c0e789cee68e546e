/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bench's one program. As process 1 of a guest it takes commands from the console, a line each:
 *
 *     run NAME WORK     one program
 *     pair NAME WORK    two of it at once, in two processes
 *     off               power off
 *
 * and prints "<begin NAME>" and "<end NAME CHECKSUM SECONDS>" around each. Elsewhere the command is
 * taken from the arguments: bench run NAME WORK.
 */
#include "bench.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    bench_program run;
} programs[] = {
    {"branches", bench_branches}, {"sort", bench_sort},
    {"dispatch", bench_dispatch}, {"crc", bench_crc},
    {"sha256", bench_sha256},     {"matrix", bench_matrix},
    {"nbody", bench_nbody},       {"longdouble", bench_long_double},
    {"memcpy", bench_memcpy},     {"memset", bench_memset},
    {"chase", bench_chase},       {"strings", bench_strings},
    {"compress", bench_compress}, {"fork", bench_fork},
    {"syscalls", bench_syscalls}, {"faults", bench_faults},
    {"pingpong", bench_pingpong}, {"ports", bench_ports},
};

static bench_program find(const char *name)
{
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        if (strcmp(programs[i].name, name) == 0) {
            return programs[i].run;
        }
    }
    return NULL;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run(const char *name, unsigned work, bool twice)
{
    bench_program program = find(name);

    if (!program) {
        printf("<unknown %s>\n", name);
        return false;
    }
    printf("<begin %s>\n", name);
    fflush(stdout);
    double began = now();
    pid_t other = twice ? fork() : -1;
    uint64_t sum = program(work);
    if (other == 0) {
        _exit(0);
    }
    if (other > 0) {
        waitpid(other, NULL, 0);
    }
    printf("<end %s %016llx %.3f>\n", name, (unsigned long long)sum, now() - began);
    fflush(stdout);
    return true;
}

static bool obey(const char *command)
{
    char name[32];
    unsigned work;

    if (sscanf(command, "run %31s %u", name, &work) == 2) {
        return run(name, work, false);
    }
    if (sscanf(command, "pair %31s %u", name, &work) == 2) {
        return run(name, work, true);
    }
    return false;
}

static void serve_console(void)
{
    struct termios mode;
    char line[128];

    mkdir("/proc", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    if (tcgetattr(0, &mode) == 0) {
        mode.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSANOW, &mode);
    }
    printf("<ready>\n");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) && strncmp(line, "off", 3) != 0) {
        obey(line);
    }
    reboot(RB_POWER_OFF);
}

int main(int count, char **arguments)
{
    char command[128] = "";

    if (getpid() == 1) {
        serve_console();
        return 0;
    }
    if (count == 2 && strcmp(arguments[1], "exit") == 0) {
        return 0;
    }
    for (int i = 1; i < count; i++) {
        strncat(command, arguments[i], sizeof(command) - strlen(command) - 2);
        strcat(command, " ");
    }
    return obey(command) ? 0 : 1;
}
