/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the test port. Each is a row of command_table with the number of its words; all
 * numbers are in C notation, and everything is checked, since any bytes may come.
 */
#include "dm/test/qtest-private.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define DATA_MAX   (16u << 20)  /* bytes of one read or write */
#define MEMSET_MAX (1ull << 32) /* bytes */

static bool parse_port(const char *text, uint64_t *port, GError **error)
{
    if (!parse_number(text, port, error)) {
        return false;
    }
    return *port <= 0xffff ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "port %s is above 0xffff", text);
}

/* The size that the last letter of a command names: inb, readw, writel, readq. */
static unsigned size_of(const char *command)
{
    switch (command[strlen(command) - 1]) {
    case 'b':
        return 1;
    case 'w':
        return 2;
    case 'l':
        return 4;
    default:
        return 8;
    }
}

static bool parse_value(const char *text, unsigned size, uint64_t *value, GError **error)
{
    if (!parse_number(text, value, error)) {
        return false;
    }
    return size == 8 || *value >> (8 * size) == 0 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "value %s has more than %u bytes", text,
                      size);
}

/* An address and a length that neither wraps nor asks for too much. */
static bool parse_range(char **words, uint64_t limit, struct range *range, GError **error)
{
    if (!parse_number(words[1], &range->start, error) ||
        !parse_number(words[2], &range->length, error)) {
        return false;
    }
    if (!range->length || range->length > limit || !range_is_valid(*range)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "size %s must be 1 to %" PRIu64
                          " bytes, and not go past the last address",
                          words[2], limit);
    }
    return true;
}

static bool port_in(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    uint64_t port, value;

    if (!parse_port(words[1], &port, error)) {
        return false;
    }
    address_space_load(&machine->as_io, port, size_of(words[0]), MEMORY_ATTRIBUTES_CPU, &value);
    g_string_append_printf(reply, " 0x%04" PRIx64, value);
    return true;
}

static bool port_out(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    unsigned size = size_of(words[0]);
    uint64_t port, value;

    if (!parse_port(words[1], &port, error) || !parse_value(words[2], size, &value, error)) {
        return false;
    }
    address_space_store(&machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, value);
    return true;
}

static bool memory_load(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    uint64_t address, value;

    if (!parse_number(words[1], &address, error)) {
        return false;
    }
    address_space_load(&machine->as_memory, address, size_of(words[0]), MEMORY_ATTRIBUTES_CPU,
                       &value);
    g_string_append_printf(reply, " 0x%016" PRIx64, value);
    return true;
}

static bool memory_store(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    unsigned size = size_of(words[0]);
    uint64_t address, value;

    if (!parse_number(words[1], &address, error) || !parse_value(words[2], size, &value, error)) {
        return false;
    }
    address_space_store(&machine->as_memory, address, size, MEMORY_ATTRIBUTES_CPU, value);
    return true;
}

static uint8_t *read_memory(struct qtest_server *server, char **words, struct range *range,
                            GError **error)
{
    struct machine *machine = qtest_machine(server);
    uint8_t *data;

    if (!parse_range(words, DATA_MAX, range, error)) {
        return NULL;
    }
    data = g_malloc(range->length);
    address_space_read(&machine->as_memory, range->start, MEMORY_ATTRIBUTES_CPU, data,
                       range->length);
    return data;
}

static bool read_hex(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    static const char digits[] = "0123456789abcdef";
    struct range range;
    size_t start;
    g_autofree uint8_t *data = read_memory(server, words, &range, error);

    if (!data) {
        return false;
    }
    g_string_append(reply, " 0x");
    start = reply->len;
    g_string_set_size(reply, start + 2 * range.length);
    for (uint64_t i = 0; i < range.length; i++) {
        reply->str[start + 2 * i] = digits[data[i] >> 4];
        reply->str[start + 2 * i + 1] = digits[data[i] & 15];
    }
    return true;
}

static bool read_base64(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct range range;
    g_autofree uint8_t *data = read_memory(server, words, &range, error);
    g_autofree char *text = data ? g_base64_encode(data, range.length) : NULL;

    if (!data) {
        return false;
    }
    g_string_append_printf(reply, " %s", text);
    return true;
}

static bool write_hex(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    const char *digits = words[3];
    g_autofree uint8_t *data = NULL;
    struct range range;

    if (!parse_range(words, DATA_MAX, &range, error)) {
        return false;
    }
    if (!g_str_has_prefix(digits, "0x") || strlen(digits) != 2 + 2 * range.length) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "data must be 0x and %" PRIu64 " hexadecimal digits", 2 * range.length);
    }
    data = g_malloc(range.length);
    for (uint64_t i = 0; i < range.length; i++) {
        int high = g_ascii_xdigit_value(digits[2 + 2 * i]);
        int low = g_ascii_xdigit_value(digits[3 + 2 * i]);

        if (high < 0 || low < 0) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "data has a character that is no hexadecimal digit");
        }
        data[i] = (uint8_t)(high << 4 | low);
    }
    address_space_write(&machine->as_memory, range.start, MEMORY_ATTRIBUTES_CPU, data,
                        range.length);
    return true;
}

static bool write_base64(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    g_autofree guchar *data = NULL;
    struct range range;
    gsize length;

    if (!parse_range(words, DATA_MAX, &range, error)) {
        return false;
    }
    data = g_base64_decode(words[3], &length);
    if (length != range.length) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "data has %zu bytes in base64, not %" PRIu64, length, range.length);
    }
    address_space_write(&machine->as_memory, range.start, MEMORY_ATTRIBUTES_CPU, data, length);
    return true;
}

static bool set_memory(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);
    uint8_t pattern[4096];
    struct range range;
    uint64_t value;

    if (!parse_range(words, MEMSET_MAX, &range, error) ||
        !parse_value(words[3], 1, &value, error)) {
        return false;
    }
    memset(pattern, (int)value, sizeof(pattern));
    while (range.length) {
        uint64_t run = MIN(range.length, sizeof(pattern));

        if (address_space_write(&machine->as_memory, range.start, MEMORY_ATTRIBUTES_CPU, pattern,
                                run) != MEMORY_OK) {
            break; /* nothing there, as a CPU's writes would be lost */
        }
        range.start += run;
        range.length -= run;
    }
    return true;
}

static bool advance_clock(struct qtest_server *server, uint64_t to, GString *reply, GError **error)
{
    struct machine *machine = qtest_machine(server);

    if (!g_str_equal(machine->engine->name, "qtest")) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "the clock runs by itself: start with -accel qtest");
    }
    machine_clock_advance(machine->clock, to);
    g_string_append_printf(reply, " %" PRIu64, machine_clock_now(machine->clock));
    return true;
}

/* Without a number: to the next timer, if one is armed. */
static bool clock_step(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    struct machine_clock *clock = qtest_machine(server)->clock;
    uint64_t now = machine_clock_now(clock), next = machine_clock_next_deadline(clock), step;

    if (!words[1]) {
        return advance_clock(server, next == UINT64_MAX ? now : MAX(next, now), reply, error);
    }
    if (!parse_number(words[1], &step, error)) {
        return false;
    }
    if (step > INT64_MAX - now) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "step %s is past the end of time",
                          words[1]);
    }
    return advance_clock(server, now + step, reply, error);
}

static bool clock_set(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    uint64_t now = machine_clock_now(qtest_machine(server)->clock), to;

    if (!parse_number(words[1], &to, error)) {
        return false;
    }
    if (to < now || to > INT64_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "time %s must be %" PRIu64 " (now) or later, below 2^63", words[1], now);
    }
    return advance_clock(server, to, reply, error);
}

static bool intercept_in(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    return qtest_intercept_inputs(server, words[1], error);
}

static bool intercept_out(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "'%s' has no outputs that can be heard: use irq_intercept_in ioapic",
                      words[1]);
}

static bool endianness(struct qtest_server *server, char **words, GString *reply, GError **error)
{
    g_string_append(reply, " little");
    return true;
}

static const struct {
    const char *name;
    unsigned minimum, maximum; /* words after the name */
    bool (*run)(struct qtest_server *server, char **words, GString *reply, GError **error);
} command_table[] = {
    {"b64read", 2, 2, read_base64},
    {"b64write", 3, 3, write_base64},
    {"clock_set", 1, 1, clock_set},
    {"clock_step", 0, 1, clock_step},
    {"endianness", 0, 0, endianness},
    {"inb", 1, 1, port_in},
    {"inl", 1, 1, port_in},
    {"inw", 1, 1, port_in},
    {"irq_intercept_in", 1, 1, intercept_in},
    {"irq_intercept_out", 1, 1, intercept_out},
    {"memset", 3, 3, set_memory},
    {"outb", 2, 2, port_out},
    {"outl", 2, 2, port_out},
    {"outw", 2, 2, port_out},
    {"read", 2, 2, read_hex},
    {"readb", 1, 1, memory_load},
    {"readl", 1, 1, memory_load},
    {"readq", 1, 1, memory_load},
    {"readw", 1, 1, memory_load},
    {"write", 3, 3, write_hex},
    {"writeb", 2, 2, memory_store},
    {"writel", 2, 2, memory_store},
    {"writeq", 2, 2, memory_store},
    {"writew", 2, 2, memory_store},
};

/* Words of a line, in place; NULL-terminated. */
static GPtrArray *split_words(char *line)
{
    GPtrArray *words = g_ptr_array_new();
    char *rest = line, *word;

    while ((word = strtok_r(rest, " \t\r", &rest))) {
        g_ptr_array_add(words, word);
    }
    g_ptr_array_add(words, NULL);
    return words;
}

static bool run_command(struct qtest_server *server, char **words, unsigned count, GString *reply,
                        GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(command_table); i++) {
        if (!g_str_equal(command_table[i].name, words[0])) {
            continue;
        }
        if (count < command_table[i].minimum || count > command_table[i].maximum) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "%s takes %u to %u words, not %u", words[0], command_table[i].minimum,
                              command_table[i].maximum, count);
        }
        return command_table[i].run(server, words, reply, error);
    }
    return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "unknown command");
}

void qtest_handle_line(struct qtest_server *server, char *line, GString *reply)
{
    g_autoptr(GPtrArray) words = split_words(line);
    g_autoptr(GString) result = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    if (words->len == 1) {
        return;
    }
    if (run_command(server, (char **)words->pdata, words->len - 2, result, &error)) {
        g_string_append_printf(reply, "OK%s\n", result->str);
    } else {
        g_string_append_printf(reply, "FAIL %s\n", error->message);
    }
}
