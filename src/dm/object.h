/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects that -object makes and devices name by id: I/O threads, sources of entropy. Classes are
 * listed in object-classes.def. An object is made with all its properties at once, and lives as
 * long as the machine, longer than every device.
 */
#ifndef DUODM_DM_OBJECT_H
#define DUODM_DM_OBJECT_H

#include "dm/property.h"

struct machine;
struct object;

struct object_class {
    const char *name; /* as -object has it */
    const char *description;
    size_t instance_size;              /* bytes; the struct begins with struct object */
    const struct property *properties; /* ended by PROPERTY_END, or NULL */
    bool (*complete)(struct object *object, GError **error); /* make it work; may be NULL */
    void (*finalize)(struct object *object);                 /* mirror of complete; may be NULL */
};
extern const struct object_class *const object_class_table[];   /* ended by NULL */
const struct object_class *object_class_find(const char *name); /* NULL: there is none */

struct object {
    const struct object_class *class;
    struct machine *machine;
    char *id;
};

/* An object with its properties at their defaults, not complete, not yet found by its id. */
struct object *object_new(struct machine *machine, const struct object_class *class,
                          const char *id);
bool object_set_property(struct object *object, const char *name, const char *value,
                         GError **error);
void object_free(struct object *object); /* one that is not complete */
/* Make it work and add it to the machine, which frees it. On failure it is freed. */
bool object_complete(struct object *object, GError **error);
/* The object of that id and class; the error says what is missing. */
struct object *object_find(struct machine *machine, const char *id,
                           const struct object_class *class, GError **error);
/* All objects of a machine, last made first. For machine_free, when all devices are gone. */
void objects_free(struct machine *machine);

#endif
