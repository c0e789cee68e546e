/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's whole state for snapshots (struct engine_ops: save_vcpu, load_vcpu). */
#ifndef DUODM_TCG_CPU_STATE_H
#define DUODM_TCG_CPU_STATE_H

#include "dm/vcpu.h"

#include <glib.h>
#include <stdbool.h>

struct state_description;

extern const struct state_description tcg_vcpu_state;
/* Paused, main loop. */
bool tcg_save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error);
/* A refused stream leaves the vCPU as it was. */
bool tcg_load_vcpu(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                   GError **error);

#endif
