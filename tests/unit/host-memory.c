/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sizes of guest memory a host is asked for. */
#include "unit/suite.h"
#include "util/host-memory.h"

#include <string.h>

#define GIB (UINT64_C(1) << 30)

static void test_limit(void)
{
    const struct host_memory host = {.ram = 24 * GIB, .swap = 2 * GIB, .available = 3 * GIB};
    g_autoptr(GError) error = NULL;

    CU_ASSERT_TRUE(host_memory_check(&host, 5 * GIB, NULL)); /* more than is free: lazily */
    CU_ASSERT_TRUE(host_memory_check(&host, 26 * GIB, NULL));
    CU_ASSERT_FALSE(host_memory_check(&host, 26 * GIB + 1, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "24576 MiB of RAM (3072 MiB available)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "2048 MiB of swap"));
}

static void test_overcommit(void)
{
    const struct host_memory host = {.ram = 1 * GIB, .always_overcommit = true};

    CU_ASSERT_TRUE(host_memory_check(&host, 1000 * GIB, NULL));
}

static void test_nothing_known(void)
{
    const struct host_memory host = {0};

    CU_ASSERT_TRUE(host_memory_check(&host, 1000 * GIB, NULL));
}

static void test_this_host(void)
{
    struct host_memory host;

    host_memory_read(&host);
    CU_ASSERT_TRUE(host.ram > 64u << 20);
    CU_ASSERT_TRUE(host.available <= host.ram);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"limit", test_limit},
        {"overcommit", test_overcommit},
        {"nothing known", test_nothing_known},
        {"this host", test_this_host},
        {NULL, NULL},
    };

    return unit_run("host-memory", tests);
}
