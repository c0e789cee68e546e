/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: key=value lists, what options note down, and the table itself. */
#include "dm/cli/options.h"
#include "unit/engines-for-tests.h"
#include "unit/suite.h"

#include <string.h>

/* Parse words separated by blanks into *line, which the caller clears. */
static bool parse(struct command_line *line, const char *text, GError **error)
{
    g_autofree char *all = g_strconcat("duodm ", text, NULL);
    g_auto(GStrv) words = g_strsplit(all, " ", -1);

    command_line_init(line);
    return command_line_parse(line, (int)g_strv_length(words), words, error);
}

static void check_list(const char *text, const char *implied, const char *expected)
{
    struct key_values *list = key_values_parse(text, implied, NULL);
    g_autoptr(GString) got = g_string_new(NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(list);
    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        g_string_append_printf(got, "<%s><%s>", item->key, item->value);
    }
    CU_ASSERT_STRING_EQUAL(got->str, expected);
    key_values_free(list);
}

static void test_lists(void)
{
    check_list("", "k", "");
    check_list("a", "k", "<k><a>");
    check_list("a", NULL, "<a><on>");
    check_list("a,b", "k", "<k><a><b><on>");
    check_list("a=1,b=2", "k", "<a><1><b><2>");
    check_list("a=1,,2,b", "k", "<a><1,2><b><on>");
    check_list("a,,b,c=d", "k", "<k><a,b><c><d>");
    check_list("a=b=c", "k", "<a><b=c>");
    check_list("a=", "k", "<a><>");
    check_list(",a", "k", "<k><a>");
    check_list("a,", "k", "<k><a>");
    check_list(",,,,", "k", "<k><,,>");
}

static void test_list_access(void)
{
    struct key_values *list = key_values_parse("a=1,b=off,a=2", NULL, NULL);
    static const char *const valid[] = {"a", "server", NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *taken = NULL;
    bool value = true;

    CU_ASSERT_STRING_EQUAL(key_values_get(list, "a"), "2");
    CU_ASSERT_PTR_NULL(key_values_get(list, "c"));
    CU_ASSERT_TRUE(key_values_get_bool(list, "c", &value, NULL));
    CU_ASSERT_TRUE(value);
    CU_ASSERT_TRUE(key_values_get_bool(list, "b", &value, NULL));
    CU_ASSERT_FALSE(value);
    CU_ASSERT_FALSE(key_values_get_bool(list, "a", &value, NULL));
    CU_ASSERT_FALSE(key_values_check(list, valid, &error));
    taken = key_values_take(list, "a");
    CU_ASSERT_STRING_EQUAL(taken, "2");
    CU_ASSERT_PTR_NULL(key_values_get(list, "a"));
    key_values_free(list);
    CU_ASSERT_PTR_NULL(key_values_parse("=1", NULL, NULL));
}

static void test_escape(void)
{
    g_autofree char *text = key_values_escape("a,b,,c");
    struct key_values *list = key_values_parse(text, "k", NULL);

    CU_ASSERT_STRING_EQUAL(key_values_get(list, "k"), "a,b,,c");
    key_values_free(list);
}

static void test_table(void)
{
    for (const struct option *a = option_table; a->name; a++) {
        CU_ASSERT_PTR_NOT_NULL(a->help);
        CU_ASSERT_PTR_NOT_NULL(a->handle);
        for (const struct option *b = a + 1; b->name; b++) {
            CU_ASSERT_STRING_NOT_EQUAL(a->name, b->name);
            CU_ASSERT_FALSE(b->alias && strcmp(a->name, b->alias) == 0);
        }
    }
}

static void test_memory(void)
{
    static const struct {
        const char *text;
        uint64_t size; /* 0: refused */
    } cases[] = {
        {"-m 2", 2 << 20},
        {"-m 512", 512 << 20},
        {"-m 512M", 512 << 20},
        {"-m 5G", 5ull << 30},
        {"-m size=1G", 1 << 30},
        {"-m 1T", 1ull << 40},
        {"-m 1.5G", 3ull << 29},
        {"-m 3000001B", 3002368},
        {"-m 0", 0},
        {"-m 1", 0},
        {"-m 1P", 0},
        {"-m 16E", 0},
        {"-m 1x", 0},
        {"-m", 0},
        {"-m 1025G", 0},
        {"-m size=", 0},
        {"-m 18446744073709551616", 0},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct command_line line;
        g_autoptr(GError) error = NULL;
        bool ok = parse(&line, cases[i].text, &error);

        CU_ASSERT_EQUAL(ok, cases[i].size != 0);
        CU_ASSERT_TRUE(!ok || line.config.ram_size == cases[i].size);
        CU_ASSERT_TRUE(ok || g_str_has_prefix(error->message, "-m"));
        command_line_clear(&line);
    }
}

static void test_smp(void)
{
    static const struct {
        const char *text;
        unsigned smp, sockets, cores, threads; /* smp 0: refused */
    } cases[] = {
        {"-smp 4", 4, 1, 4, 1},
        {"-smp cpus=4", 4, 1, 4, 1},
        {"-smp 4,sockets=2", 4, 2, 2, 1},
        {"-smp 8,cores=2,threads=2", 8, 2, 2, 2},
        {"-smp sockets=2,cores=3,threads=2", 12, 2, 3, 2},
        {"-smp threads=2", 2, 1, 1, 2},
        {"-smp 4,maxcpus=4", 4, 1, 4, 1},
        {"-smp maxcpus=3", 3, 1, 3, 1},
        {"-smp 255", 255, 1, 255, 1},
        {"-smp 0", 0, 0, 0, 0},
        {"-smp 256", 0, 0, 0, 0},
        {"-smp 100000", 0, 0, 0, 0},
        {"-smp 3,threads=2", 0, 0, 0, 0},
        {"-smp 2,cores=4", 0, 0, 0, 0},
        {"-smp 2,maxcpus=4", 2, 1, 4, 1},
        {"-smp 4,maxcpus=2", 0, 0, 0, 0},
        {"-smp 4,cpu=4", 0, 0, 0, 0},
        {"-smp sockets=255,cores=255,threads=255", 0, 0, 0, 0},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct command_line line;
        bool ok = parse(&line, cases[i].text, NULL);

        CU_ASSERT_EQUAL(ok, cases[i].smp != 0);
        if (ok) {
            CU_ASSERT_EQUAL(line.config.smp, cases[i].smp);
            CU_ASSERT_EQUAL(line.config.sockets, cases[i].sockets);
            CU_ASSERT_EQUAL(line.config.cores, cases[i].cores);
            CU_ASSERT_EQUAL(line.config.threads, cases[i].threads);
        }
        command_line_clear(&line);
    }
}

static void test_engines(void)
{
    struct command_line line;

    CU_ASSERT_TRUE(parse(&line, "-machine accel=kvm:qtest", NULL));
    CU_ASSERT_EQUAL(line.engines->len, 2);
    CU_ASSERT_STRING_EQUAL(key_values_get(g_ptr_array_index(line.engines, 1), "accel"), "qtest");
    command_line_clear(&line);
    CU_ASSERT_TRUE(parse(&line, "-accel kvm -accel qtest -M accel=qtest", NULL));
    CU_ASSERT_EQUAL(line.engines->len, 1);
    command_line_clear(&line);
    CU_ASSERT_FALSE(parse(&line, "-accel nonsense", NULL));
    command_line_clear(&line);
}

static void test_flags_and_strings(void)
{
    struct command_line line;

    CU_ASSERT_TRUE(parse(&line,
                         "-kernel k -initrd i --append a -no-reboot -no-shutdown -S -nodefaults "
                         "-no-acpi -M hpet=off -boot cd,menu=on -rtc base=2024-02-29T12:00:00 "
                         "-uuid 01234567-89AB-CDEF-0123-456789ABCDEF -fw_cfg opt/x,string=y "
                         "-global isa-serial.irq=9 -serial null -serial none",
                         NULL));
    CU_ASSERT_STRING_EQUAL(line.config.kernel, "k");
    CU_ASSERT_STRING_EQUAL(line.config.initrd, "i");
    CU_ASSERT_STRING_EQUAL(line.config.append, "a");
    CU_ASSERT_TRUE(line.config.no_reboot && line.config.no_shutdown && line.config.start_paused);
    CU_ASSERT_TRUE(line.config.no_defaults && line.config.no_acpi && line.config.no_hpet);
    CU_ASSERT_STRING_EQUAL(line.config.boot_order, "cd");
    CU_ASSERT_TRUE(line.config.boot_menu);
    CU_ASSERT_STRING_EQUAL(line.config.rtc_base, "2024-02-29T12:00:00");
    CU_ASSERT_STRING_EQUAL(line.config.uuid_text, "01234567-89ab-cdef-0123-456789abcdef");
    CU_ASSERT_EQUAL(line.config.fw_cfg_items->len, 1);
    CU_ASSERT_EQUAL(line.config.globals->len, 1);
    CU_ASSERT_EQUAL(line.serials->len, 2);
    command_line_clear(&line);
}

static void test_mistakes_name_the_nearest(void)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"-kernle x", "'-kernel'"},
        {"-no-rebot", "'-no-reboot'"},
        {"-device isa-serail", "'isa-serial'"},
        {"-device isa-serial,irk=1", "'irq'"},
        {"-global isa-seriall.irq=1", "'isa-serial'"},
        {"-accel qtset", "'qtest'"},
        {"-smp 1,scokets=1", "'sockets'"},
        {"-boot odrer=c", "'order'"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct command_line line;
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(parse(&line, cases[i].text, &error));
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, cases[i].part));
        command_line_clear(&line);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"key=value lists", test_lists},
        {"access to lists", test_list_access},
        {"escape", test_escape},
        {"the table has no double", test_table},
        {"-m", test_memory},
        {"-smp", test_smp},
        {"-accel and -machine accel=", test_engines},
        {"flags and strings", test_flags_and_strings},
        {"mistakes", test_mistakes_name_the_nearest},
        {NULL, NULL},
    };

    return unit_run("options", tests);
}
