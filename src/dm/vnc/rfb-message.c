/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vnc/rfb-message.h"

#include <string.h>

/* Messages from client to server: 7.5, and the registry of further ones. */
enum message_type {
    SET_PIXEL_FORMAT = 0,
    SET_ENCODINGS = 2,
    UPDATE_REQUEST = 3,
    KEY_EVENT = 4,
    POINTER_EVENT = 5,
    CUT_TEXT = 6,
    SET_DESKTOP_SIZE = 251,
};

#define SECURITY_PASSWORD 2 /* "VNC authentication", 7.2.2 */

#define VERSION_LENGTH  12
#define PASSWORD_LENGTH 16
#define ENCODINGS_MAX   1024
#define CUT_TEXT_MAX    (1u << 20) /* bytes: whoever sends more is no viewer */

static struct rfb_message of_length(size_t length, size_t available)
{
    return (struct rfb_message){available >= length ? RFB_WHOLE : RFB_INCOMPLETE, length};
}

static unsigned get_16(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static struct rfb_message look_at_encodings(const uint8_t *bytes, size_t available)
{
    if (available < 4) {
        return (struct rfb_message){RFB_INCOMPLETE, 4};
    }
    if (get_16(bytes + 2) > ENCODINGS_MAX) {
        return (struct rfb_message){RFB_BAD, 0};
    }
    return of_length(4 + 4 * (size_t)get_16(bytes + 2), available);
}

/* Of the extended clipboard the length is negative. Neither is of interest. */
static struct rfb_message look_at_cut_text(const uint8_t *bytes, size_t available)
{
    uint32_t length;

    if (available < 8) {
        return (struct rfb_message){RFB_INCOMPLETE, 8};
    }
    length = (uint32_t)get_16(bytes + 4) << 16 | get_16(bytes + 6);
    length = length >> 31 ? -length : length;
    if (length > CUT_TEXT_MAX) {
        return (struct rfb_message){RFB_BAD, 0};
    }
    return (struct rfb_message){RFB_SKIP, 8 + (size_t)length};
}

static struct rfb_message look_at_desktop_size(const uint8_t *bytes, size_t available)
{
    if (available < 8) {
        return (struct rfb_message){RFB_INCOMPLETE, 8};
    }
    return of_length(8 + 16 * (size_t)bytes[6], available);
}

static struct rfb_message look_at_normal(const uint8_t *bytes, size_t available)
{
    switch (bytes[0]) {
    case SET_PIXEL_FORMAT:
        return of_length(20, available);
    case SET_ENCODINGS:
        return look_at_encodings(bytes, available);
    case UPDATE_REQUEST:
        return of_length(10, available);
    case KEY_EVENT:
        return of_length(8, available);
    case POINTER_EVENT:
        return of_length(6, available);
    case CUT_TEXT:
        return look_at_cut_text(bytes, available);
    case SET_DESKTOP_SIZE:
        return look_at_desktop_size(bytes, available);
    default: /* file transfer, chat, scaling and the like, which nobody offered */
        return (struct rfb_message){RFB_BAD, 0};
    }
}

bool rfb_parse_version(const uint8_t *bytes, unsigned *minor)
{
    unsigned number = 0;

    if (memcmp(bytes, "RFB 003.", 8) != 0 || bytes[11] != '\n') {
        return false;
    }
    for (unsigned i = 8; i < 11; i++) {
        if (bytes[i] < '0' || bytes[i] > '9') {
            return false;
        }
        number = 10 * number + bytes[i] - '0';
    }
    /* 7.1.1: what is not known is taken for 3.3; later ones (Apple's 3.889) know 3.8. */
    *minor = number >= 8 ? 8 : number == 7 ? 7 : RFB_MINOR_OLD;
    return true;
}

enum rfb_stage rfb_next_stage(enum rfb_stage stage, const uint8_t *bytes, bool is_old,
                              bool needs_password)
{
    switch (stage) {
    case RFB_STAGE_VERSION:
        return !is_old ? RFB_STAGE_SECURITY : needs_password ? RFB_STAGE_PASSWORD : RFB_STAGE_INIT;
    case RFB_STAGE_SECURITY:
        return bytes[0] == SECURITY_PASSWORD ? RFB_STAGE_PASSWORD : RFB_STAGE_INIT;
    case RFB_STAGE_PASSWORD:
        return RFB_STAGE_INIT;
    default:
        return RFB_STAGE_NORMAL;
    }
}

struct rfb_message rfb_message_look(enum rfb_stage stage, const uint8_t *bytes, size_t available)
{
    if (available == 0) {
        return (struct rfb_message){RFB_INCOMPLETE, 1};
    }
    switch (stage) {
    case RFB_STAGE_VERSION:
        return of_length(VERSION_LENGTH, available);
    case RFB_STAGE_PASSWORD:
        return of_length(PASSWORD_LENGTH, available);
    case RFB_STAGE_SECURITY:
    case RFB_STAGE_INIT:
        return of_length(1, available);
    default:
        return look_at_normal(bytes, available);
    }
}
