/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kinds of things besides devices that device_add knows: to add one, add a line. */
#include "dm/hotplug.h"

extern const struct hotplug_kind cpu_hotplug_kind; /* monitor/qmp-cpus.c */

const struct hotplug_kind *const hotplug_kind_table[] = {
    &cpu_hotplug_kind,
    NULL,
};
