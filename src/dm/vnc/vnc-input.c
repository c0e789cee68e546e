/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What VNC clients do, in the main loop: keys by their keysyms, pointer, monitor events. */
#include "dm/input/input.h"
#include "dm/vnc/vnc-private.h"

#include <jansson.h>

#define EVENTS_MAX 4096 /* that wait; keys and clicks beyond are lost */

/* Buttons of RFB by their bits. */
static const enum input_button buttons[8] = {
    INPUT_LEFT,       INPUT_MIDDLE,     INPUT_RIGHT,       INPUT_WHEEL_UP,
    INPUT_WHEEL_DOWN, INPUT_WHEEL_LEFT, INPUT_WHEEL_RIGHT, INPUT_SIDE,
};

static void set_key(struct vnc_input *input, const struct key *key, unsigned client, bool down)
{
    unsigned index = (unsigned)(key - key_table);

    if (down || input->pressed[index]) {
        input->pressed[index] = down ? client : 0;
        input_send_key(input->machine, key, down);
    }
}

static bool is_held(const struct vnc_input *input, const char *name)
{
    return input->pressed[key_find_name(name) - key_table] != 0;
}

static bool shift_is_held(const struct vnc_input *input)
{
    return is_held(input, "shift") || is_held(input, "shift_r");
}

/* A client that types '!' without Shift (a script) means that character all the same. */
static void add_shift(struct vnc_input *input, unsigned client, bool needs_shift)
{
    if (needs_shift && !shift_is_held(input)) {
        set_key(input, key_find_name("shift"), client, true);
        input->shift_added = true;
    }
}

static void take_shift(struct vnc_input *input, unsigned client)
{
    if (input->shift_added) {
        input->shift_added = false;
        set_key(input, key_find_name("shift"), client, false);
    }
}

/* Letters with Caps Lock come with or without Shift: that is no sign of Shift being needed. */
static bool is_letter(uint32_t keysym)
{
    return keysym < 0x80 && g_ascii_isalpha((char)keysym);
}

static void handle_key(struct vnc_input *input, const struct vnc_event *event)
{
    bool needs_shift;
    const struct key *key = key_find_keysym(event->keysym, &needs_shift);

    if (!key) {
        return;
    }
    if (event->down) {
        take_shift(input, event->client);
        add_shift(input, event->client,
                  needs_shift && !(is_letter(event->keysym) && is_held(input, "caps_lock")));
    }
    set_key(input, key, event->client, event->down);
    if (!event->down) {
        take_shift(input, event->client);
    }
    input_sync(input->machine);
}

static void move_pointer(struct vnc_input *input, const struct vnc_event *event)
{
    struct machine *machine = input->machine;

    if (input_find_handler(machine, INPUT_ABSOLUTE)) {
        unsigned right = MAX(event->width, 2) - 1, bottom = MAX(event->height, 2) - 1;

        input_send_motion(machine, INPUT_ABSOLUTE, INPUT_X,
                          (int)((uint64_t)event->x * INPUT_ABSOLUTE_MAX / right));
        input_send_motion(machine, INPUT_ABSOLUTE, INPUT_Y,
                          (int)((uint64_t)event->y * INPUT_ABSOLUTE_MAX / bottom));
    } else if (input->has_place) {
        if (event->x != input->x) {
            input_send_motion(machine, INPUT_RELATIVE, INPUT_X, (int)event->x - (int)input->x);
        }
        if (event->y != input->y) {
            input_send_motion(machine, INPUT_RELATIVE, INPUT_Y, (int)event->y - (int)input->y);
        }
    }
    input->x = event->x;
    input->y = event->y;
    input->has_place = true;
}

static void handle_pointer(struct vnc_input *input, const struct vnc_event *event)
{
    unsigned changed = event->buttons ^ input->buttons;

    move_pointer(input, event);
    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        if (changed & 1u << i) {
            input_send_button(input->machine, buttons[i], event->buttons & 1u << i);
        }
    }
    input->buttons = event->buttons;
    input_sync(input->machine);
}

/* A client that leaves holds nothing any more. */
static void release_all(struct vnc_input *input, unsigned client)
{
    for (unsigned i = 0; i < key_count; i++) {
        if (input->pressed[i] == client) {
            set_key(input, &key_table[i], client, false);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(buttons); i++) {
        if (input->buttons & 1u << i) {
            input_send_button(input->machine, buttons[i], false);
        }
    }
    input->shift_added = false;
    input->buttons = 0;
    input_sync(input->machine);
}

static void emit(struct vnc_input *input, const char *name, const struct vnc_client_info *client)
{
    json_t *data = json_pack("{s:{s:s, s:s, s:s, s:s, s:b}, s:{s:s, s:s, s:s, s:b}}", "server",
                             "auth", input->server->auth, "host", input->server->host, "service",
                             input->server->service, "family", input->server->family, "websocket",
                             0, "client", "host", client->host, "service", client->service,
                             "family", client->family, "websocket", 0);
    char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;

    machine_emit_event(input->machine, name, text);
    free(text);
    json_decref(data);
}

static void handle_event(struct vnc_input *input, const struct vnc_event *event)
{
    switch (event->kind) {
    case VNC_EVENT_KEY:
        handle_key(input, event);
        break;
    case VNC_EVENT_POINTER:
        handle_pointer(input, event);
        break;
    case VNC_EVENT_CONNECTED:
        emit(input, "VNC_CONNECTED", event->info);
        break;
    case VNC_EVENT_INITIALIZED:
        emit(input, "VNC_INITIALIZED", event->info);
        break;
    case VNC_EVENT_GONE:
        release_all(input, event->client);
        emit(input, "VNC_DISCONNECTED", event->info);
        break;
    }
}

static void event_free(struct vnc_event *event)
{
    if (event) {
        vnc_client_info_free(event->info);
        g_free(event);
    }
}

static struct vnc_event *pop(struct vnc_input *input)
{
    struct vnc_event *event;

    pthread_mutex_lock(&input->lock);
    event = g_queue_pop_head(&input->events);
    pthread_mutex_unlock(&input->lock);
    return event;
}

static void handle_events(void *opaque)
{
    struct vnc_input *input = opaque;
    struct vnc_event *event;

    while ((event = pop(input))) {
        handle_event(input, event);
        event_free(event);
    }
}

static bool is_input(const struct vnc_event *event)
{
    return event->kind == VNC_EVENT_KEY || event->kind == VNC_EVENT_POINTER;
}

/* A motion that nobody has seen yet is made longer. */
static bool join(struct vnc_event *last, const struct vnc_event *event)
{
    if (!last || last->kind != VNC_EVENT_POINTER || event->kind != VNC_EVENT_POINTER ||
        last->client != event->client || last->buttons != event->buttons) {
        return false;
    }
    *last = *event;
    return true;
}

void vnc_input_push(struct vnc_input *input, const struct vnc_event *event)
{
    pthread_mutex_lock(&input->lock);
    if (!join(g_queue_peek_tail(&input->events), event) &&
        (!is_input(event) || g_queue_get_length(&input->events) < EVENTS_MAX)) {
        g_queue_push_tail(&input->events, g_memdup2(event, sizeof(*event)));
    }
    pthread_mutex_unlock(&input->lock);
    machine_post(input->machine, &input->task);
}

void vnc_input_init(struct vnc_input *input, struct machine *machine, struct vnc_info *server)
{
    *input = (struct vnc_input){
        .machine = machine,
        .server = server,
        .pressed = g_new0(unsigned, key_count),
        .task = {.run = handle_events, .opaque = input},
    };
    pthread_mutex_init(&input->lock, NULL);
    g_queue_init(&input->events);
}

void vnc_input_destroy(struct vnc_input *input)
{
    machine_cancel(input->machine, &input->task);
    g_queue_clear_full(&input->events, (GDestroyNotify)event_free);
    pthread_mutex_destroy(&input->lock);
    g_free(input->pressed);
    vnc_info_free(input->server);
}
