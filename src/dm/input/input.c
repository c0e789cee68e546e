/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/input/input.h"
#include "dm/machine.h"
#include "util/error.h"

#define CHORDS_MAX     256 /* that wait to be typed */
#define CHORD_KEYS_MAX 32
#define NS_PER_MS      1000000u

/* Keys that are typed together. */
struct chord {
    const struct key *keys[CHORD_KEYS_MAX];
    unsigned count;
    uint64_t hold_ns;
};

struct input {
    GPtrArray *handlers; /* of struct input_handler, not owned */
    unsigned last_activation;
    GQueue chords;     /* of struct chord; the first is held down */
    bool timer_is_set; /* typist was initialised */
    struct clock_timer typist;
};

const char *const input_button_names[INPUT_BUTTON_COUNT] = {
    [INPUT_LEFT] = "left",
    [INPUT_MIDDLE] = "middle",
    [INPUT_RIGHT] = "right",
    [INPUT_WHEEL_UP] = "wheel-up",
    [INPUT_WHEEL_DOWN] = "wheel-down",
    [INPUT_SIDE] = "side",
    [INPUT_EXTRA] = "extra",
    [INPUT_WHEEL_LEFT] = "wheel-left",
    [INPUT_WHEEL_RIGHT] = "wheel-right",
};

struct input *input_new(void)
{
    struct input *input = g_new0(struct input, 1);

    input->handlers = g_ptr_array_new();
    g_queue_init(&input->chords);
    return input;
}

void input_free(struct input *input)
{
    if (input->timer_is_set) {
        clock_timer_destroy(&input->typist);
    }
    g_queue_clear_full(&input->chords, g_free);
    g_ptr_array_unref(input->handlers);
    g_free(input);
}

void input_add_handler(struct machine *machine, struct input_handler *handler)
{
    g_ptr_array_add(machine->input->handlers, handler);
}

void input_remove_handler(struct machine *machine, struct input_handler *handler)
{
    g_ptr_array_remove(machine->input->handlers, handler);
}

void input_activate(struct machine *machine, struct input_handler *handler, bool active)
{
    unsigned order = 0;

    if (active) {
        order = __atomic_add_fetch(&machine->input->last_activation, 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&handler->activated, order, __ATOMIC_RELAXED);
}

const GPtrArray *input_handlers(const struct machine *machine)
{
    return machine->input->handlers;
}

struct input_handler *input_find_handler(struct machine *machine, enum input_kind kind)
{
    struct input_handler *best = NULL;
    unsigned best_order = 0;

    for (unsigned i = 0; i < machine->input->handlers->len; i++) {
        struct input_handler *handler = g_ptr_array_index(machine->input->handlers, i);
        unsigned order = __atomic_load_n(&handler->activated, __ATOMIC_RELAXED);

        if (handler->kinds & kind && (order || !handler->needs_activation) && order >= best_order) {
            best = handler;
            best_order = order;
        }
    }
    return best;
}

/* Buttons belong to the device that reports the pointer, so that a click hits where it is. */
static struct input_handler *choose_handler(struct machine *machine, enum input_kind kind)
{
    struct input_handler *absolute;

    if (kind == INPUT_BUTTON) {
        absolute = input_find_handler(machine, INPUT_ABSOLUTE);
        if (absolute && absolute->kinds & INPUT_BUTTON) {
            return absolute;
        }
    }
    return input_find_handler(machine, kind);
}

void input_send(struct machine *machine, const struct input_event *event)
{
    struct input_handler *handler = choose_handler(machine, event->kind);

    if (!handler || (handler->guard && !access_guard_enter(handler->guard))) {
        return;
    }
    handler->touched = true;
    handler->event(handler->opaque, event);
    if (handler->guard) {
        access_guard_leave(handler->guard);
    }
}

void input_sync(struct machine *machine)
{
    for (unsigned i = 0; i < machine->input->handlers->len; i++) {
        struct input_handler *handler = g_ptr_array_index(machine->input->handlers, i);

        if (!handler->touched) {
            continue;
        }
        handler->touched = false;
        if (handler->sync && (!handler->guard || access_guard_enter(handler->guard))) {
            handler->sync(handler->opaque);
            if (handler->guard) {
                access_guard_leave(handler->guard);
            }
        }
    }
}

void input_send_key(struct machine *machine, const struct key *key, bool down)
{
    input_send(machine, &(struct input_event){.kind = INPUT_KEY, .key = key, .down = down});
}

void input_send_button(struct machine *machine, enum input_button button, bool down)
{
    input_send(machine,
               &(struct input_event){.kind = INPUT_BUTTON, .button = button, .down = down});
}

void input_send_motion(struct machine *machine, enum input_kind kind, enum input_axis axis,
                       int value)
{
    input_send(machine, &(struct input_event){.kind = kind, .axis = axis, .value = value});
}

/* Typing. */

static void press_chord(struct machine *machine)
{
    struct chord *chord = g_queue_peek_head(&machine->input->chords);

    for (unsigned i = 0; i < chord->count; i++) {
        input_send_key(machine, chord->keys[i], true);
    }
    input_sync(machine);
    clock_timer_arm(&machine->input->typist, machine_clock_now(machine->clock) + chord->hold_ns);
}

static void chord_held(void *opaque)
{
    struct machine *machine = opaque;
    g_autofree struct chord *chord = g_queue_pop_head(&machine->input->chords);

    for (unsigned i = chord->count; i-- > 0;) {
        input_send_key(machine, chord->keys[i], false);
    }
    input_sync(machine);
    if (!g_queue_is_empty(&machine->input->chords)) {
        press_chord(machine);
    }
}

bool input_type_keys(struct machine *machine, const struct key *const *keys, unsigned count,
                     unsigned hold_ms, GError **error)
{
    struct input *input = machine->input;
    struct chord *chord;

    if (!count || count > CHORD_KEYS_MAX || g_queue_get_length(&input->chords) >= CHORDS_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "1 to %d keys can be typed at once, and %d times in advance",
                          CHORD_KEYS_MAX, CHORDS_MAX);
    }
    if (!input->timer_is_set) {
        clock_timer_init(&input->typist, machine->clock, chord_held, machine, NULL);
        input->timer_is_set = true;
    }
    chord = g_new0(struct chord, 1);
    memcpy(chord->keys, keys, count * sizeof(keys[0]));
    chord->count = count;
    chord->hold_ns = (uint64_t)hold_ms * NS_PER_MS;
    g_queue_push_tail(&input->chords, chord);
    if (g_queue_get_length(&input->chords) == 1) {
        press_chord(machine);
    }
    return true;
}
