/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random sequences that break something, cut down to what is needed for it. */
#ifndef DUODM_TESTS_UNIT_SHRINK_H
#define DUODM_TESTS_UNIT_SHRINK_H

#include <glib.h>
#include <string.h>

/* Take the steps, each of `size` bytes: what went wrong, or NULL. */
typedef const char *(*shrink_run_fn)(const void *steps, unsigned count);

/* Leave out of steps what is not needed for a fault. Returns the number of steps left. */
static inline unsigned shrink_steps(void *steps, size_t size, unsigned count, shrink_run_fn run)
{
    char *all = steps;

    for (unsigned chunk = count / 2; chunk; chunk /= 2) {
        for (unsigned at = 0; at + chunk <= count;) {
            size_t before = at * size, after = (count - at - chunk) * size;
            g_autofree char *fewer = g_malloc(before + after + 1);

            memcpy(fewer, all, before);
            memcpy(fewer + before, all + before + chunk * size, after);
            if (run(fewer, count - chunk)) {
                count -= chunk;
                memcpy(all, fewer, before + after);
            } else {
                at++;
            }
        }
    }
    return count;
}

#endif
