/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/board/microvm.h"
#include "dm/board/none.h"
#include "dm/board/pc.h"

const struct board_class *const board_table[] = {
    &pc_board, &q35_board, &microvm_board, &xenfv_board, &none_board, NULL,
};
