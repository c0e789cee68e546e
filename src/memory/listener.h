/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory listeners hear how an address space's flat view changes: only the difference, inside
 * begin/commit. Registration replays what exists. Callbacks run in the thread that commits, under
 * the topology lock; they may not edit the topology. A false return travels up: registration fails
 * and undoes what it replayed; a failed change at run time goes to .failed (section is NULL if it
 * was about an event descriptor), and the listener does not hear of that section's end.
 * Unregistration removes what exists. Readers may see a change before listeners hear of it.
 */
#ifndef DUODM_MEMORY_LISTENER_H
#define DUODM_MEMORY_LISTENER_H

#include "memory/address-space.h"

/* A run of addresses of an address space that one region answers in one way. */
struct listener_section {
    struct memory_region *region;
    gpa_t start;            /* in the address space */
    uint64_t length;        /* bytes */
    uint64_t region_offset; /* of start, in region */
    bool read_only;
    bool rom_mode;
    uint32_t dirty_clients; /* mask of 1 << enum dirty_client that log */
};

struct ioeventfd_section {
    gpa_t address;
    unsigned size; /* bytes; 0: any */
    bool match_value;
    uint64_t value;
    int fd;
};

struct memory_listener {
    const char *name;
    int priority; /* add: low first; remove: high first */
    void (*begin)(struct memory_listener *listener);
    void (*commit)(struct memory_listener *listener);
    bool (*section_add)(struct memory_listener *listener, const struct listener_section *section,
                        GError **error);
    void (*section_remove)(struct memory_listener *listener,
                           const struct listener_section *section);
    void (*log_changed)(struct memory_listener *listener, const struct listener_section *section,
                        uint32_t old_clients, uint32_t new_clients);
    /* Bring what it knows of written pages into the regions' dirty logs. */
    void (*log_sync)(struct memory_listener *listener);
    bool (*ioeventfd_add)(struct memory_listener *listener, const struct ioeventfd_section *section,
                          GError **error);
    void (*ioeventfd_remove)(struct memory_listener *listener,
                             const struct ioeventfd_section *section);
    void (*failed)(struct memory_listener *listener, const struct listener_section *section,
                   const GError *error);
    struct address_space *as;     /* set while registered */
    GHashTable *refused;          /* private: starts of sections that section_add refused */
    GHashTable *refused_eventfds; /* private: struct ioeventfd_section refused */
};

/* Takes the topology lock: not in a callback of a listener. The listener is its owner's, and not
 * registered elsewhere; callbacks that are NULL are not called. On failure it is not registered,
 * and has seen the end of each section that it took. Not being registered is fine to be ended. */
bool memory_listener_register(struct memory_listener *listener, struct address_space *as,
                              GError **error);
void memory_listener_unregister(struct memory_listener *listener);

#endif
