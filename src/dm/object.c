/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/object.h"
#include "dm/machine.h"
#include "util/error.h"

#define OBJECT_CLASS(class_) extern const struct object_class class_;
#include "dm/object-classes.def"
#undef OBJECT_CLASS

const struct object_class *const object_class_table[] = {
#define OBJECT_CLASS(class_) &class_,
#include "dm/object-classes.def"
#undef OBJECT_CLASS
    NULL,
};

const struct object_class *object_class_find(const char *name)
{
    for (unsigned i = 0; object_class_table[i]; i++) {
        if (g_str_equal(object_class_table[i]->name, name)) {
            return object_class_table[i];
        }
    }
    return NULL;
}

struct object *object_new(struct machine *machine, const struct object_class *class, const char *id)
{
    struct object *object = g_malloc0(class->instance_size);

    object->class = class;
    object->machine = machine;
    object->id = g_strdup(id);
    property_set_defaults(machine, object, class->properties);
    return object;
}

void object_free(struct object *object)
{
    property_free_values(object, object->class->properties);
    g_free(object->id);
    g_free(object);
}

bool object_set_property(struct object *object, const char *name, const char *value, GError **error)
{
    const struct property *property = property_find(object->class->properties, name);

    if (!property) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "object '%s' has no property '%s'",
                          object->class->name, name);
    }
    return property_set(object->machine, object, property, value, error);
}

static struct object *find_id(struct machine *machine, const char *id)
{
    for (unsigned i = 0; i < machine->objects->len; i++) {
        struct object *object = g_ptr_array_index(machine->objects, i);

        if (g_str_equal(object->id, id)) {
            return object;
        }
    }
    return NULL;
}

bool object_complete(struct object *object, GError **error)
{
    bool good = true;

    if (find_id(object->machine, object->id)) {
        good = duodm_fail(error, DUODM_ERROR_EXISTS,
                          "there is an object '%s' already: choose another id", object->id);
    } else if (object->class->complete) {
        good = object->class->complete(object, error);
    }
    if (!good) {
        object_free(object);
        return false;
    }
    g_ptr_array_add(object->machine->objects, object);
    return true;
}

struct object *object_find(struct machine *machine, const char *id,
                           const struct object_class *class, GError **error)
{
    struct object *object = find_id(machine, id);

    if (!object) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "there is no object '%s': make it with -object %s,id=", id, class->name);
    } else if (object->class != class) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "object '%s' is of class '%s', not '%s'",
                   id, object->class->name, class->name);
        object = NULL;
    }
    return object;
}

void objects_free(struct machine *machine)
{
    while (machine->objects->len) {
        struct object *object = g_ptr_array_index(machine->objects, machine->objects->len - 1);

        g_ptr_array_set_size(machine->objects, (gint)machine->objects->len - 1);
        if (object->class->finalize) {
            object->class->finalize(object);
        }
        object_free(object);
    }
}
