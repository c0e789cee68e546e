/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x and xp: memory as a table of numbers. */
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define EXAMINE_MAX   65536 /* values at a time */
#define BYTES_PER_ROW 16

struct examine_format {
    uint64_t count;
    char kind;     /* x d u o c */
    unsigned size; /* bytes of one */
};

/* "/8xw": count, kind and size, each may be left out. */
static bool parse_format(const char *text, struct examine_format *format, GError **error)
{
    static const char kinds[] = "xduoc", sizes[] = "bhwg";
    char *end;

    *format = (struct examine_format){.count = 1, .kind = 'x', .size = 4};
    text++;
    if (g_ascii_isdigit(*text)) {
        format->count = g_ascii_strtoull(text, &end, 10);
        text = end;
    }
    for (; *text; text++) {
        if (strchr(kinds, *text)) {
            format->kind = *text;
            format->size = *text == 'c' ? 1 : format->size;
        } else if (strchr(sizes, *text)) {
            format->size = 1u << (strchr(sizes, *text) - sizes);
        } else {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "format letter '%c' is none of x d u o c (kind), b h w g (size of 1, "
                              "2, 4, 8 bytes)",
                              *text);
        }
    }
    if (format->count > EXAMINE_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "at most %d values at a time",
                          EXAMINE_MAX);
    }
    return true;
}

static bool find_register(const struct x86_state *state, const char *name, uint64_t *value)
{
    static const char *const names[X86_REGISTER_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                          "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                          "r12", "r13", "r14", "r15"};

    if (g_str_equal(name, "rip")) {
        *value = state->rip;
        return true;
    }
    if (g_str_equal(name, "pc")) { /* where the next instruction is: an address, not an offset */
        *value = state->segment[X86_CS].base + state->rip;
        return true;
    }
    for (unsigned i = 0; i < X86_REGISTER_COUNT; i++) {
        if (g_str_equal(names[i], name)) {
            *value = state->gpr[i];
            return true;
        }
    }
    return false;
}

/* A number or $register. */
static bool parse_address(const struct hmp_context *context, const char *text, uint64_t *address,
                          GError **error)
{
    struct x86_state state;

    if (*text != '$') {
        return parse_number(text, address, error);
    }
    if (!hmp_get_state(context, &state, error)) {
        return false;
    }
    return find_register(&state, text + 1, address) ||
           duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "there is no register '%s': $pc, $rip, $rax, ...", text);
}

static bool translate(const struct hmp_context *context, uint64_t address, uint64_t *physical,
                      GError **error)
{
    const struct engine_ops *engine = context->machine->engine;

    if (!engine->virtual_to_physical || context->cpu >= context->machine->vcpu_count) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "this machine has no CPU that translates addresses: use xp");
    }
    return engine->virtual_to_physical(context->machine->vcpus[context->cpu], address, physical) ||
           duodm_fail(error, DUODM_ERROR_FAILED, "0x%" PRIx64 " is not mapped", address);
}

/* In one access where it can be: a device's register is not the sum of its bytes. */
static bool read_value(const struct hmp_context *context, bool is_virtual, uint64_t address,
                       unsigned size, uint64_t *value, GError **error)
{
    unsigned step = (address & 0xfff) + size <= 0x1000 ? size : 1;
    uint8_t bytes[8] = {0};

    for (unsigned i = 0; i < size; i += step) {
        uint64_t physical = address + i;

        if (is_virtual && !translate(context, address + i, &physical, error)) {
            return false;
        }
        if (address_space_read(&context->machine->as_memory, physical, MEMORY_ATTRIBUTES_CPU,
                               bytes + i, step) != MEMORY_OK) {
            return duodm_fail(error, DUODM_ERROR_FAILED, "nothing answers at 0x%" PRIx64, physical);
        }
    }
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        *value |= (uint64_t)bytes[i] << (8 * i);
    }
    return true;
}

static void print_value(const struct examine_format *format, uint64_t value, GString *out)
{
    unsigned shift = 64 - 8 * format->size;
    int digits = (int)(2 * format->size);

    switch (format->kind) {
    case 'd':
        g_string_append_printf(out, " %" PRId64, (int64_t)(value << shift) >> shift);
        break;
    case 'u':
        g_string_append_printf(out, " %" PRIu64, value);
        break;
    case 'o':
        g_string_append_printf(out, " 0%" PRIo64, value);
        break;
    case 'c':
        g_string_append_printf(out, g_ascii_isprint((char)value) ? " '%c'" : " '\\x%02x'",
                               (unsigned char)value);
        break;
    default:
        g_string_append_printf(out, " 0x%0*" PRIx64, digits, value);
    }
}

bool hmp_examine(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool is_virtual = g_str_equal(words[0], "x");
    unsigned next = words[1] && words[1][0] == '/' ? 2 : 1;
    struct examine_format format;
    uint64_t address, value = 0;

    if (!parse_format(next == 2 ? words[1] : "/", &format, error)) {
        return false;
    }
    if (!words[next]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "which address? %s/FMT ADDRESS",
                          words[0]);
    }
    if (!parse_address(context, words[next], &address, error)) {
        return false;
    }
    for (uint64_t i = 0; i < format.count; i++, address += format.size) {
        if (!read_value(context, is_virtual, address, format.size, &value, error)) {
            g_string_append(out, i ? "\n" : "");
            return false;
        }
        if (i * format.size % BYTES_PER_ROW == 0) {
            g_string_append_printf(out, "%s%016" PRIx64 ":", i ? "\n" : "", address);
        }
        print_value(&format, value, out);
    }
    g_string_append_c(out, '\n');
    return true;
}
