/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of engines of a test program: the one that has no CPUs. */
#ifndef DUODM_TESTS_UNIT_ENGINES_FOR_TESTS_H
#define DUODM_TESTS_UNIT_ENGINES_FOR_TESTS_H

#include "dm/test/qtest.h"

const struct engine_ops *const engine_table[] = {&qtest_engine, NULL};

#endif
