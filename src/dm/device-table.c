/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of device classes, made from device-classes.def: to add one, add a line there. */
#include "dm/device.h"

#define DEVICE_CLASS(class_) extern const struct device_class class_;
#include "dm/device-classes.def"
#undef DEVICE_CLASS

const struct device_class *const device_class_table[] = {
#define DEVICE_CLASS(class_) &class_,
#include "dm/device-classes.def"
#undef DEVICE_CLASS
    NULL,
};

const struct device_class *device_class_find(const char *name)
{
    for (unsigned i = 0; device_class_table[i]; i++) {
        const struct device_class *class = device_class_table[i];

        if (g_str_equal(class->name, name) || g_strcmp0(class->alias, name) == 0) {
            return class;
        }
    }
    return NULL;
}
