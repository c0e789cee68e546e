/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_TCG_ENGINE_TCG_H
#define DUODM_TCG_ENGINE_TCG_H

#include "dm/engine.h"

extern const struct engine_ops tcg_engine; /* engine-table.c lists it */

#endif
