/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A name in the file system that this process made (a socket, a link, a file with its number) and
 * removes at the end: if it is still what was made, and not what somebody else has put there since.
 */
#ifndef DUODM_UTIL_OWN_PATH_H
#define DUODM_UTIL_OWN_PATH_H

#include <sys/types.h>

struct own_path {
    char *path; /* NULL: nothing was made */
    dev_t device;
    ino_t inode;
};

/* What is at path now (links not followed) was just made. NULL: nothing was. */
void own_path_init(struct own_path *own, const char *path);
/* Remove it. No-op the second time, and for one that is all zeros. */
void own_path_remove(struct own_path *own);

#endif
