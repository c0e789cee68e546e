/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_DM_BOARD_NONE_H
#define DUODM_DM_BOARD_NONE_H

#include "dm/machine.h"

extern const struct board_class none_board;

#endif
