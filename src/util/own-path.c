/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/own-path.h"

#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

void own_path_init(struct own_path *own, const char *path)
{
    struct stat status;

    *own = (struct own_path){0};
    if (path && lstat(path, &status) == 0) {
        *own = (struct own_path){g_strdup(path), status.st_dev, status.st_ino};
    }
}

void own_path_remove(struct own_path *own)
{
    struct stat status;

    if (own->path && lstat(own->path, &status) == 0 && status.st_dev == own->device &&
        status.st_ino == own->inode) {
        unlink(own->path);
    }
    g_clear_pointer(&own->path, g_free);
}
