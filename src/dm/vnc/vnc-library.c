/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vnc/vnc-library.h"
#include "util/error.h"
#include "util/log.h"

#include <dlfcn.h>

#define LIBRARY_NAME "libvncserver.so.1"

/* The library talks of each client, and of what it dislikes: for who traces guests' peers only. */
static void log_message(const char *format, ...)
{
    va_list arguments;

    if (log_is_enabled(LOG_UNIMPLEMENTED)) {
        g_autofree char *text = NULL;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        log_printf("vnc: %s%s", text, g_str_has_suffix(text, "\n") ? "" : "\n");
    }
}

static void redirect_log(void *handle, const char *name)
{
    rfbLogProc *variable = dlsym(handle, name);

    if (variable) {
        *variable = log_message;
    }
}

const struct vnc_library *vnc_library_load(GError **error)
{
    g_autofree struct vnc_library *library = g_new0(struct vnc_library, 1);
    void *handle = dlopen(LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL);
    const char *missing = NULL;

    if (!handle) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "%s: install Debian's libvncserver1 (apt-get install libvncserver1)", dlerror());
        return NULL;
    }
#define X(name_)                                                                                   \
    library->name_ = (__typeof__(library->name_))dlsym(handle, #name_);                            \
    missing = library->name_ ? missing : #name_;
    VNC_LIBRARY_FUNCTIONS(X)
#undef X
    if (missing) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "%s has no %s: it is of another version",
                   LIBRARY_NAME, missing);
        return NULL;
    }
    redirect_log(handle, "rfbLog");
    redirect_log(handle, "rfbErr");
    return g_steal_pointer(&library);
}
