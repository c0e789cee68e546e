/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One CUnit suite per program: a table of tests, run in order. */
#ifndef DUODM_TESTS_UNIT_SUITE_H
#define DUODM_TESTS_UNIT_SUITE_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit_test {
    const char *name;
    void (*run)(void);
};

/* Run a table of tests, ended by a NULL name; DUODM_TEST_ONLY=TEXT: those that have it in their
 * names. The exit status: 0 if all passed, 2 if there was none to run. */
static inline int unit_run(const char *name, const struct unit_test *tests)
{
    const char *only = getenv("DUODM_TEST_ONLY");
    unsigned failures, count = 0;
    CU_pSuite suite;

    if (CU_initialize_registry() != CUE_SUCCESS) {
        return 2;
    }
    suite = CU_add_suite(name, NULL, NULL);
    for (; suite && tests->name; tests++) {
        if (only && !strstr(tests->name, only)) {
            continue;
        }
        suite = CU_add_test(suite, tests->name, tests->run) ? suite : NULL;
        count++;
    }
    if (suite && !count) {
        fprintf(stderr, "%s: DUODM_TEST_ONLY: no test has '%s' in its name\n", name, only);
        suite = NULL;
    }
    if (!suite) {
        CU_cleanup_registry();
        return 2;
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}

#endif
