/* SPDX-License-Identifier: GPL-2.0-or-later */
/* load kexec KERNEL INITRD COMMAND-LINE: start another kernel from this one, with no reset. */
#include <fcntl.h>
#include <linux/reboot.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

int load_kexec(int argc, char **argv)
{
    int kernel, initrd;

    if (argc != 3) {
        fprintf(stderr, "usage: load kexec KERNEL INITRD COMMAND-LINE\n");
        return 2;
    }
    kernel = open(argv[0], O_RDONLY);
    initrd = open(argv[1], O_RDONLY);
    if (kernel < 0 || initrd < 0) {
        return failed(kernel < 0 ? argv[0] : argv[1]);
    }
    if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1, argv[2], 0) != 0) {
        return failed("kexec_file_load");
    }
    reboot(LINUX_REBOOT_CMD_KEXEC);
    return failed("reboot");
}
