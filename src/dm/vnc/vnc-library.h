/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvncserver, loaded when somebody asks for VNC: it brings a dozen libraries with it, which no
 * other start of the program is to pay for.
 */
#ifndef DUODM_DM_VNC_VNC_LIBRARY_H
#define DUODM_DM_VNC_VNC_LIBRARY_H

#include <glib.h>
#include <rfb/rfb.h>

/* The functions that are used, by their names. */
#define VNC_LIBRARY_FUNCTIONS(X)                                                                   \
    X(rfbGetScreen)                                                                                \
    X(rfbScreenCleanup)                                                                            \
    X(rfbNewClient)                                                                                \
    X(rfbNewFramebuffer)                                                                           \
    X(rfbSetTranslateFunction)                                                                     \
    X(rfbProcessClientMessage)                                                                     \
    X(rfbUpdateClient)                                                                             \
    X(rfbMarkRectAsModified)                                                                       \
    X(rfbCloseClient)                                                                              \
    X(rfbClientConnectionGone)                                                                     \
    X(rfbEncryptBytes)

struct vnc_library {
#define X(name_) __typeof__(&name_) name_;
    VNC_LIBRARY_FUNCTIONS(X)
#undef X
};

/* NULL and an error that names the package if it is not there. Loaded once, never unloaded. */
const struct vnc_library *vnc_library_load(GError **error);

#endif
