/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load NAME ARGUMENT...: see load.h and each load's file. */
#include "load.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} LOADS[] = {
    {"randread", load_randread}, {"stream", load_stream}, {"files", load_files},
    {"disk", load_disk},         {"edu", load_edu},       {"vfio", load_vfio},
    {"kexec", load_kexec},       {"echo", load_echo},     {"watch", load_watch},
    {"withdraw", load_withdraw},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; argc > 1 && i < sizeof(LOADS) / sizeof(LOADS[0]); i++) {
        if (strcmp(argv[1], LOADS[i].name) == 0) {
            return LOADS[i].run(argc - 2, argv + 2);
        }
    }
    fprintf(stderr, "usage: load randread|stream|files|disk|edu|vfio|kexec|echo|watch|withdraw "
                    "ARGUMENT...\n");
    return 2;
}
