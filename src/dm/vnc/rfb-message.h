/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the messages of an RFB client are (RFC 6143): libvncserver is handed a message only once
 * all of it is there, so that it never waits for a client that sends half of one.
 */
#ifndef DUODM_DM_VNC_RFB_MESSAGE_H
#define DUODM_DM_VNC_RFB_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the client sends next. */
enum rfb_stage {
    RFB_STAGE_VERSION,
    RFB_STAGE_SECURITY,
    RFB_STAGE_PASSWORD, /* the answer to the challenge */
    RFB_STAGE_INIT,
    RFB_STAGE_NORMAL,
};

/* More than any message has that is handed on. */
#define RFB_MESSAGE_MAX 8192

enum rfb_verdict {
    RFB_WHOLE,      /* a message of `length` bytes is there */
    RFB_INCOMPLETE, /* more must come */
    RFB_SKIP, /* a message of `length` bytes, some of which may not be there: of no interest */
    RFB_BAD,  /* no client of ours sends that */
};

struct rfb_message {
    enum rfb_verdict verdict;
    size_t length; /* bytes */
};

/* Versions that there are: 3.3, 3.7 and 3.8. */
#define RFB_MINOR_OLD 3

/* The 12 bytes of "RFB 003.nnn"; *minor is the version that both sides know. False: no such text.
 */
bool rfb_parse_version(const uint8_t *bytes, unsigned *minor);
/* What comes after a whole message. is_old: of version 3.3. */
enum rfb_stage rfb_next_stage(enum rfb_stage stage, const uint8_t *bytes, bool is_old,
                              bool needs_password);

/* Look at the first bytes that came. available: at most RFB_MESSAGE_MAX of them. */
struct rfb_message rfb_message_look(enum rfb_stage stage, const uint8_t *bytes, size_t available);

#endif
