/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vnc/vnc-library.h"
#include "util/library.h"
#include "util/log.h"

#define LIBRARY_NAME    "libvncserver.so.1"
#define LIBRARY_PACKAGE "libvncserver1"

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

const struct vnc_library *vnc_library_load(GError **error)
{
#define SYMBOL(name) {#name, offsetof(struct vnc_library, name)},
    static const struct library_symbol functions[] = {VNC_LIBRARY_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    static const struct library_symbol variables[] = {{"rfbLog", 0}, {"rfbErr", sizeof(void *)}};
    static const struct library code = {LIBRARY_NAME, LIBRARY_PACKAGE, functions,
                                        G_N_ELEMENTS(functions)};
    static const struct library data = {LIBRARY_NAME, LIBRARY_PACKAGE, variables,
                                        G_N_ELEMENTS(variables)};
    g_autofree struct vnc_library *library = g_new0(struct vnc_library, 1);
    rfbLogProc *logs[2];

    if (!library_load(&code, library, error) || !library_load(&data, logs, error)) {
        return NULL;
    }
    *logs[0] = log_message;
    *logs[1] = log_message;
    return g_steal_pointer(&library);
}
