/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In a build without libvncserver: there is no server, so nothing can be asked of one. */
#include "dm/vnc/vnc.h"
#include "util/error.h"

bool vnc_server_start(struct machine *machine, const struct vnc_options *options, GError **error)
{
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "this build has no VNC server: configure it again with Debian's "
                      "libvncserver-dev installed (apt-get install libvncserver-dev)");
}

void vnc_server_stop(struct machine *machine)
{
}

bool vnc_set_password(struct vnc_server *server, const char *password, GError **error)
{
    g_assert_not_reached();
}

bool vnc_set_password_expiry(struct vnc_server *server, gint64 when, GError **error)
{
    g_assert_not_reached();
}

struct vnc_info *vnc_get_info(struct vnc_server *server)
{
    g_assert_not_reached();
}

void vnc_info_free(struct vnc_info *info)
{
}
