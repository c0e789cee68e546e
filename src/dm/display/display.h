/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who shows a picture (a graphics adapter) and who looks at it (VNC, a screen dump). A viewer holds
 * a view: a surface of its own, which it has brought up to date when it wants. Nothing is drawn
 * while nobody looks.
 */
#ifndef DUODM_DM_DISPLAY_DISPLAY_H
#define DUODM_DM_DISPLAY_DISPLAY_H

#include "dm/display/surface.h"

struct machine;
struct display;
struct display_view;

/* A device that shows a picture. Embedded in it. */
struct display_adapter_ops {
    /* What the adapter keeps for a view between two refreshes. */
    void *(*view_new)(void *opaque);
    void (*view_free)(void *opaque, void *memory);
    /* Draw what the guest shows now: make the surface of its size (resized: it is another one, all
     * of it is new), draw, list what changed. tracks: it may look for changes in the dirty log,
     * which is on and nobody else's; else all is looked at. The viewer's thread, no lock held. */
    void (*draw)(void *opaque, void *memory, bool tracks, struct surface *surface, bool *resized,
                 GArray *changes);
    /* Changes are to be told in the dirty log from now on, or no longer. */
    void (*track)(void *opaque, bool on);
};

/* realize and unrealize of the device. The first adapter of a machine is the one that is shown. */
void display_add_adapter(struct machine *machine, const struct display_adapter_ops *ops,
                         void *opaque);
void display_remove_adapter(struct machine *machine, void *opaque);

/* A view of the machine's picture; NULL: it has no adapter. Main loop only, as is its end; it may
 * be used in another thread between. */
struct display_view *display_view_new(struct machine *machine);
void display_view_free(struct display_view *view);
/* Bring the surface up to date. Any one thread at a time. */
void display_view_refresh(struct display_view *view);
/* Whether refreshes look at what was written only, for who looks again and again. One view of a
 * machine can have that; for others it stays off. */
void display_view_set_tracking(struct display_view *view, bool on);
const struct surface *display_view_surface(const struct display_view *view);
/* What the last refresh changed: GArray of struct surface_rect; and whether the size is new. */
const GArray *display_view_changes(const struct display_view *view);
bool display_view_was_resized(const struct display_view *view);

/* Write the picture to a file, "ppm" or "png". */
bool display_dump(struct machine *machine, const char *path, const char *format, GError **error);

#endif
