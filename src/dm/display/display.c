/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/display/display.h"
#include "dm/fd-set.h"
#include "dm/machine.h"
#include "util/error.h"

struct adapter {
    const struct display_adapter_ops *ops;
    void *opaque;
};

struct display {
    GArray *adapters; /* of struct adapter */
    bool tracked;     /* by a view; atomic */
};

struct display_view {
    struct machine *machine;
    struct adapter adapter;
    void *memory;  /* the adapter's */
    bool tracks;   /* it has the dirty log */
    bool is_fresh; /* the log has told since the last refresh */
    bool resized;
    struct surface surface;
    GArray *changes; /* of struct surface_rect */
};

void display_add_adapter(struct machine *machine, const struct display_adapter_ops *ops,
                         void *opaque)
{
    struct adapter adapter = {ops, opaque};

    if (!machine->display) {
        machine->display = g_new0(struct display, 1);
        machine->display->adapters = g_array_new(FALSE, FALSE, sizeof(struct adapter));
    }
    g_array_append_val(machine->display->adapters, adapter);
}

void display_remove_adapter(struct machine *machine, void *opaque)
{
    GArray *adapters = machine->display->adapters;

    for (unsigned i = 0; i < adapters->len; i++) {
        if (g_array_index(adapters, struct adapter, i).opaque == opaque) {
            g_array_remove_index(adapters, i);
            break;
        }
    }
    if (!adapters->len) {
        g_array_unref(adapters);
        g_clear_pointer(&machine->display, g_free);
    }
}

struct display_view *display_view_new(struct machine *machine)
{
    struct display *display = machine->display;
    struct display_view *view;

    if (!display) {
        return NULL;
    }
    view = g_new0(struct display_view, 1);
    view->machine = machine;
    view->adapter = g_array_index(display->adapters, struct adapter, 0);
    view->changes = g_array_new(FALSE, FALSE, sizeof(struct surface_rect));
    view->memory = view->adapter.ops->view_new(view->adapter.opaque);
    return view;
}

void display_view_set_tracking(struct display_view *view, bool on)
{
    bool *tracked = &view->machine->display->tracked;

    if (on && !view->tracks && !__atomic_exchange_n(tracked, true, __ATOMIC_ACQUIRE)) {
        view->tracks = true;
        view->is_fresh = false;
        view->adapter.ops->track(view->adapter.opaque, true);
    } else if (!on && view->tracks) {
        view->adapter.ops->track(view->adapter.opaque, false);
        view->tracks = false;
        __atomic_store_n(tracked, false, __ATOMIC_RELEASE);
    }
}

void display_view_free(struct display_view *view)
{
    if (!view) {
        return;
    }
    display_view_set_tracking(view, false);
    view->adapter.ops->view_free(view->adapter.opaque, view->memory);
    g_array_unref(view->changes);
    surface_clear(&view->surface);
    g_free(view);
}

void display_view_refresh(struct display_view *view)
{
    g_array_set_size(view->changes, 0);
    view->resized = false;
    view->adapter.ops->draw(view->adapter.opaque, view->memory, view->tracks && view->is_fresh,
                            &view->surface, &view->resized, view->changes);
    view->is_fresh = view->tracks;
}

const struct surface *display_view_surface(const struct display_view *view)
{
    return &view->surface;
}

const GArray *display_view_changes(const struct display_view *view)
{
    return view->changes;
}

bool display_view_was_resized(const struct display_view *view)
{
    return view->resized;
}

bool display_dump(struct machine *machine, const char *path, const char *format, GError **error)
{
    bool is_png = g_strcmp0(format, "png") == 0;
    struct display_view *view;
    g_autoptr(GByteArray) file = NULL;

    if (!is_png && g_strcmp0(format, "ppm") != 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a picture can be written as ppm or png, not as '%s'", format);
    }
    view = display_view_new(machine);
    if (!view) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "the machine has no graphics adapter: add one with -vga std");
    }
    display_view_refresh(view);
    file = is_png ? surface_to_png(&view->surface) : surface_to_ppm(&view->surface);
    display_view_free(view);
    return fd_registry_write(machine->fds, path, 0666, file->data, file->len, error);
}
