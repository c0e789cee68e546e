/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -chroot, -runas, -run-with: what the process gives up once everything is open. */
#include "dm/cli/launch.h"
#include "util/error.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

const char *const run_with_keys[] = {"chroot", "user", NULL};

bool option_run_with(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, NULL, error);
    bool ok = list && key_values_check(list, run_with_keys, error);

    if (ok && key_values_get(list, "chroot")) {
        g_free(line->chroot);
        line->chroot = g_strdup(key_values_get(list, "chroot"));
    }
    if (ok && key_values_get(list, "user")) {
        g_free(line->run_as);
        line->run_as = g_strdup(key_values_get(list, "user"));
    }
    key_values_free(list);
    return ok;
}

/* "UID:GID", both numbers. */
static bool parse_ids(const char *text, uid_t *user, gid_t *group)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    uint64_t numbers[2];

    for (unsigned i = 0; i < 2; i++) {
        if (!parts[i] || !parse_number(parts[i], &numbers[i], NULL) || numbers[i] >= UINT32_MAX) {
            return false;
        }
    }
    *user = (uid_t)numbers[0];
    *group = (gid_t)numbers[1];
    return true;
}

/* Found before the root directory changes. name: of the user, for its further groups; NULL: none.
 */
static bool find_user(const char *text, uid_t *user, gid_t *group, const char **name,
                      GError **error)
{
    const struct passwd *entry;

    *name = NULL;
    if (parse_ids(text, user, group)) {
        return true;
    }
    entry = getpwnam(text);
    if (!entry) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "-runas %s: there is no such user (UID:GID is possible, too)", text);
    }
    *user = entry->pw_uid;
    *group = entry->pw_gid;
    *name = text;
    return true;
}

static bool change_user(const char *text, uid_t user, gid_t group, const char *name, GError **error)
{
    bool done = (name ? initgroups(name, group) : setgroups(1, &group)) == 0 &&
                setresgid(group, group, group) == 0 && setresuid(user, user, user) == 0;

    if (!done) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "-runas %s: %s", text, g_strerror(errno));
    }
    return user == 0 || setuid(0) != 0 ||
           duodm_fail(error, DUODM_ERROR_FAILED, "-runas %s: root can be had back", text);
}

static bool change_root(const char *folder, GError **error)
{
    return (chdir(folder) == 0 && chroot(".") == 0 && chdir("/") == 0) ||
           duodm_fail(error, DUODM_ERROR_FAILED, "-chroot %s: %s", folder, g_strerror(errno));
}

bool launch_drop_rights(struct launch *launch, GError **error)
{
    const struct command_line *line = &launch->line;
    const char *name = NULL;
    uid_t user = 0;
    gid_t group = 0;

    if (line->run_as && !find_user(line->run_as, &user, &group, &name, error)) {
        return false;
    }
    return (!launch->engine->drop_rights || launch->engine->drop_rights(launch->machine, error)) &&
           (!line->chroot || change_root(line->chroot, error)) &&
           (!line->run_as || change_user(line->run_as, user, group, name, error));
}
