/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/poll-set.h"
#include "util/error.h"

#include <errno.h>
#include <libslirp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define COLLECT_MAX 64 /* events in one call */

struct entry {
    int fd, wanted, happened;
};

/* By descriptor: what the epoll set knows of it. */
struct slot {
    uint32_t mask; /* 0: not in the set */
    int index;     /* of its entry in the list; -1: none */
};

struct poll_set {
    int epoll;
    GArray *entries;  /* of struct entry: the list */
    GArray *previous; /* the list before it */
    GArray *slots;    /* of struct slot */
};

struct poll_set *poll_set_new(GError **error)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct poll_set *set;

    if (epoll < 0) {
        duodm_fail(error, DUODM_ERROR_FAILED, "no epoll set: %s", g_strerror(errno));
        return NULL;
    }
    set = g_new0(struct poll_set, 1);
    set->epoll = epoll;
    set->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    set->previous = g_array_new(FALSE, FALSE, sizeof(struct entry));
    set->slots = g_array_new(FALSE, TRUE, sizeof(struct slot));
    return set;
}

void poll_set_free(struct poll_set *set)
{
    close(set->epoll);
    g_array_unref(set->entries);
    g_array_unref(set->previous);
    g_array_unref(set->slots);
    g_free(set);
}

int poll_set_fd(const struct poll_set *set)
{
    return set->epoll;
}

static struct slot *slot_of(struct poll_set *set, int fd)
{
    if ((guint)fd >= set->slots->len) {
        g_array_set_size(set->slots, (guint)fd + 1);
    }
    return &g_array_index(set->slots, struct slot, fd);
}

static uint32_t to_epoll(int events)
{
    return (events & SLIRP_POLL_IN ? EPOLLIN : 0u) | (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
           (events & SLIRP_POLL_PRI ? EPOLLPRI : 0u) | (events & SLIRP_POLL_HUP ? EPOLLRDHUP : 0u);
}

static int from_epoll(uint32_t events)
{
    return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
           (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0) |
           (events & (EPOLLHUP | EPOLLRDHUP) ? SLIRP_POLL_HUP : 0);
}

static void change(struct poll_set *set, int fd, struct slot *slot, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.fd = fd};

    if (!mask) {
        epoll_ctl(set->epoll, EPOLL_CTL_DEL, fd, NULL);
    } else if (!slot->mask || (epoll_ctl(set->epoll, EPOLL_CTL_MOD, fd, &event) < 0)) {
        epoll_ctl(set->epoll, EPOLL_CTL_ADD, fd, &event);
    }
    slot->mask = mask;
}

void poll_set_begin(struct poll_set *set)
{
    GArray *old = set->previous;

    set->previous = set->entries;
    set->entries = old;
    g_array_set_size(set->entries, 0);
    for (guint i = 0; i < set->previous->len; i++) {
        slot_of(set, g_array_index(set->previous, struct entry, i).fd)->index = -1;
    }
}

int poll_set_add(struct poll_set *set, int fd, int events)
{
    struct entry entry = {.fd = fd, .wanted = events};
    int index = (int)set->entries->len;

    g_array_append_val(set->entries, entry);
    slot_of(set, fd)->index = index;
    return index;
}

void poll_set_commit(struct poll_set *set)
{
    for (guint i = 0; i < set->entries->len; i++) {
        const struct entry *entry = &g_array_index(set->entries, struct entry, i);
        struct slot *slot = slot_of(set, entry->fd);
        uint32_t mask = to_epoll(entry->wanted);

        if (slot->mask != mask) {
            change(set, entry->fd, slot, mask);
        }
    }
    for (guint i = 0; i < set->previous->len; i++) {
        int fd = g_array_index(set->previous, struct entry, i).fd;
        struct slot *slot = slot_of(set, fd);

        if (slot->index < 0 && slot->mask) {
            change(set, fd, slot, 0);
        }
    }
}

void poll_set_collect(struct poll_set *set)
{
    struct epoll_event events[COLLECT_MAX];
    int n = epoll_wait(set->epoll, events, COLLECT_MAX, 0);

    for (guint i = 0; i < set->entries->len; i++) {
        g_array_index(set->entries, struct entry, i).happened = 0;
    }
    for (int i = 0; i < n; i++) {
        const struct slot *slot = slot_of(set, events[i].data.fd);

        if (slot->index >= 0) {
            g_array_index(set->entries, struct entry, slot->index).happened =
                from_epoll(events[i].events);
        }
    }
}

int poll_set_events(const struct poll_set *set, int index)
{
    return index >= 0 && (guint)index < set->entries->len
               ? g_array_index(set->entries, struct entry, index).happened
               : 0;
}

void poll_set_forget(struct poll_set *set, int fd)
{
    struct slot *slot = slot_of(set, fd);

    if (slot->mask) {
        change(set, fd, slot, 0);
    }
    slot->index = -1;
}
