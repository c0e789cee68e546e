/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Libraries that are loaded when they are needed. */
#include "unit/suite.h"
#include "util/library.h"

#include <math.h>
#include <string.h>

struct math {
    __typeof__(cos) *cos;
    __typeof__(sqrt) *sqrt;
};

static const struct library_symbol symbols[] = {{"sqrt", offsetof(struct math, sqrt)},
                                                {"cos", offsetof(struct math, cos)},
                                                {"sqrt_of_another_release", 0}};

static void test_found(void)
{
    static const struct library library = {"libm.so.6", "libc6", symbols, 2};
    struct math math = {0};

    CU_ASSERT_TRUE_FATAL(library_load(&library, &math, NULL));
    CU_ASSERT_EQUAL(math.sqrt(9.0), 3.0);
    CU_ASSERT_EQUAL(math.cos(0.0), 1.0);
}

static void test_not_installed(void)
{
    static const struct library library = {"libnobody-has-it.so.7", "libnobody7", symbols, 2};
    struct math math = {0};
    g_autoptr(GError) error = NULL;

    CU_ASSERT_FALSE(library_load(&library, &math, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "libnobody-has-it.so.7"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "apt-get install libnobody7"));
    CU_ASSERT_PTR_NULL(math.sqrt);
}

static void test_symbol_missing(void)
{
    static const struct library library = {"libm.so.6", "libc6", symbols, G_N_ELEMENTS(symbols)};
    struct math math;
    g_autoptr(GError) error = NULL;

    CU_ASSERT_FALSE(library_load(&library, &math, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "libm.so.6 has no sqrt_of_another_release"));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"found", test_found},
        {"not installed", test_not_installed},
        {"symbol missing", test_symbol_missing},
        {NULL, NULL},
    };

    return unit_run("library", tests);
}
