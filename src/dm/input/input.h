/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input: what people and monitors do (keys, buttons, motion) on its way to the devices by which the
 * guest hears of it. Main loop only, but for input_activate.
 */
#ifndef DUODM_DM_INPUT_INPUT_H
#define DUODM_DM_INPUT_INPUT_H

#include "dm/input/keys.h"
#include "memory/guard.h"

#include <glib.h>

struct machine;

enum input_kind {
    INPUT_KEY = 1 << 0,
    INPUT_BUTTON = 1 << 1,
    INPUT_RELATIVE = 1 << 2,
    INPUT_ABSOLUTE = 1 << 3,
};

enum input_button {
    INPUT_LEFT,
    INPUT_MIDDLE,
    INPUT_RIGHT,
    INPUT_WHEEL_UP, /* wheels: one step each time it goes down */
    INPUT_WHEEL_DOWN,
    INPUT_SIDE,
    INPUT_EXTRA,
    INPUT_WHEEL_LEFT,
    INPUT_WHEEL_RIGHT,
    INPUT_BUTTON_COUNT
};
extern const char *const input_button_names[INPUT_BUTTON_COUNT]; /* as QMP's InputButton */

enum input_axis {
    INPUT_X, /* grows to the right */
    INPUT_Y, /* grows downwards */
};

#define INPUT_ABSOLUTE_MAX 0x7fff

struct input_event {
    enum input_kind kind;
    const struct key *key;    /* INPUT_KEY */
    enum input_button button; /* INPUT_BUTTON */
    bool down;                /* of key or button */
    enum input_axis axis;     /* INPUT_RELATIVE, INPUT_ABSOLUTE */
    int value;                /* of the axis: steps, or 0..INPUT_ABSOLUTE_MAX across the screen */
};

/* A device that takes events. Embedded in its owner. */
struct input_handler {
    const char *name;           /* for monitors */
    unsigned kinds;             /* mask of enum input_kind */
    bool needs_activation;      /* gets nothing unless the guest uses it */
    struct access_guard *guard; /* entered around the callbacks; may be NULL */
    void (*event)(void *opaque, const struct input_event *event);
    void (*sync)(void *opaque); /* the events up to here happened at once; may be NULL */
    void *opaque;
    /* Private. */
    unsigned activated; /* atomic; 0: not in use by the guest, else the larger the later */
    bool touched;       /* events since the last sync */
};

struct input;
struct input *input_new(void);
void input_free(struct input *input); /* its handlers are gone */

/* The handler is its owner's, who removes it before it goes. */
void input_add_handler(struct machine *machine, struct input_handler *handler);
void input_remove_handler(struct machine *machine, struct input_handler *handler);
/* The guest uses the device now, or no longer. Any thread, any lock held. Events of a kind go to
 * the handler of that kind that was activated last; else to the one that was added last of those
 * that need no activation. */
void input_activate(struct machine *machine, struct input_handler *handler, bool active);
/* Who gets events of a kind; NULL: nobody. */
struct input_handler *input_find_handler(struct machine *machine, enum input_kind kind);
/* All of them, in order of addition: GPtrArray of struct input_handler. */
const GPtrArray *input_handlers(const struct machine *machine);

/* An event to the one handler that gets its kind; lost if there is none, or if it is entered
 * already. value: as in struct input_event. */
void input_send(struct machine *machine, const struct input_event *event);
void input_send_key(struct machine *machine, const struct key *key, bool down);
void input_send_button(struct machine *machine, enum input_button button, bool down);
void input_send_motion(struct machine *machine, enum input_kind kind, enum input_axis axis,
                       int value);
/* All events since the last one happened at once: devices report them to the guest. */
void input_sync(struct machine *machine);

/* Press keys one after another, hold them, release them in the opposite order. What is pressed
 * already comes first to its end. hold_ms of the machine's time. */
bool input_type_keys(struct machine *machine, const struct key *const *keys, unsigned count,
                     unsigned hold_ms, GError **error);

#endif
