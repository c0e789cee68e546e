/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parsing of property values: strict, and with errors that say what would be right. */
#include "dm/property.h"
#include "dm/chardev.h"
#include "dm/net/net.h"
#include "util/error.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define QUOTED_MAX 60 /* bytes of a user's text that a message repeats */

/* A user's text as a message can show it: valid UTF-8, no control characters, not endless. */
static char *quote(const char *text)
{
    g_autofree char *start = g_strndup(text, QUOTED_MAX);
    g_autofree char *valid = g_utf8_make_valid(start, -1);
    GString *out = g_string_new("'");

    for (const char *p = valid; *p; p++) {
        if (g_ascii_iscntrl(*p)) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*p);
        } else {
            g_string_append_c(out, *p);
        }
    }
    if (strlen(text) > QUOTED_MAX) {
        g_string_append(out, "...");
    }
    g_string_append_c(out, '\'');
    return g_string_free(out, FALSE);
}

static bool fail_value(GError **error, const char *text, const char *expected)
{
    g_autofree char *quoted = quote(text);

    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%s is not valid: %s is expected",
                      quoted, expected);
}

bool parse_bool(const char *text, bool *value, GError **error)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"on", true},   {"yes", true}, {"true", true},
                 {"off", false}, {"no", false}, {"false", false}};

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_str_equal(text, words[i].word)) {
            *value = words[i].value;
            return true;
        }
    }
    return fail_value(error, text, "on or off");
}

bool parse_number(const char *text, uint64_t *value, GError **error)
{
    const char *expected = "a number from 0 to 2^64 - 1, decimal or hexadecimal with 0x,";
    unsigned long long number;
    char *end;

    /* strtoull would take signs and leading blanks. */
    if (!g_ascii_isdigit(text[0])) {
        return fail_value(error, text, expected);
    }
    /* 010 is ten to most people, and eight to C and QEMU: neither is to be guessed. */
    if (text[0] == '0' && g_ascii_isdigit(text[1])) {
        return fail_value(error, text, "a number without leading zeros");
    }
    errno = 0;
    number = strtoull(text, &end, 0);
    if (errno || *end) {
        return fail_value(error, text, expected);
    }
    *value = number;
    return true;
}

/* Power of two of a size suffix; -1 if the letter is none. */
static int suffix_shift(char letter)
{
    static const char letters[] = "BKMGTPE";
    const char *found = letter ? strchr(letters, g_ascii_toupper(letter)) : NULL;

    return found ? (int)(found - letters) * 10 : -1;
}

/* The digits after a decimal point as a numerator and denominator (power of ten). */
static const char *parse_fraction(const char *text, uint64_t *numerator, uint64_t *denominator)
{
    *numerator = 0;
    *denominator = 1;
    for (; g_ascii_isdigit(*text); text++) {
        if (*denominator > UINT64_C(1000000000000000)) {
            return NULL;
        }
        *numerator = *numerator * 10 + (uint64_t)(*text - '0');
        *denominator *= 10;
    }
    return text;
}

bool parse_size(const char *text, char default_suffix, uint64_t *bytes, GError **error)
{
    const char *expected =
        "a size such as 512M, 4G or 1.5G (suffixes B K M G T P E, below 2^64 bytes)";
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    uint64_t whole, numerator = 0, denominator = 1;
    unsigned __int128 result;
    char *number_end;
    const char *end;
    int shift;

    if (!g_ascii_isdigit(text[0])) {
        return fail_value(error, text, expected);
    }
    errno = 0;
    whole = strtoull(text, &number_end, hexadecimal ? 16 : 10);
    end = number_end;
    if (errno || (hexadecimal && end <= text + 2)) {
        return fail_value(error, text, expected);
    }
    if (*end == '.' && !hexadecimal && g_ascii_isdigit(end[1])) {
        end = parse_fraction(end + 1, &numerator, &denominator);
        if (!end) {
            return fail_value(error, text, expected);
        }
    }
    shift = suffix_shift(*end ? *end : default_suffix);
    if (shift < 0 || (*end && end[1])) {
        return fail_value(error, text, expected);
    }
    result =
        ((unsigned __int128)whole << shift) + ((unsigned __int128)numerator << shift) / denominator;
    if (result > UINT64_MAX) {
        return fail_value(error, text, expected);
    }
    *bytes = (uint64_t)result;
    return true;
}

/* "slot[.function]", both hexadecimal. */
static bool parse_pci_address(const char *text, int32_t *devfn, GError **error)
{
    const char *expected = "a PCI address slot[.function], hexadecimal, 0 to 1f and 0 to 7,";
    unsigned long slot, function = 0;
    char *end;

    if (g_str_equal(text, "-1")) {
        *devfn = -1;
        return true;
    }
    if (!g_ascii_isxdigit(text[0])) {
        return fail_value(error, text, expected);
    }
    errno = 0;
    slot = strtoul(text, &end, 16);
    if (*end == '.') {
        if (!g_ascii_isxdigit(end[1])) {
            return fail_value(error, text, expected);
        }
        function = strtoul(end + 1, &end, 16);
    }
    if (errno || *end || slot > 31 || function > 7) {
        return fail_value(error, text, expected);
    }
    *devfn = (int32_t)(slot << 3 | function);
    return true;
}

static bool parse_boot_index(const char *text, int32_t *index, GError **error)
{
    uint64_t number;

    if (g_str_equal(text, "-1")) {
        *index = -1;
        return true;
    }
    if (!parse_number(text, &number, NULL) || number > INT32_MAX) {
        return fail_value(error, text, "a place in the boot order, from 0 to 2^31 - 1, or -1,");
    }
    *index = (int32_t)number;
    return true;
}

static bool parse_mac(const char *text, uint8_t mac[6], GError **error)
{
    uint8_t bytes[6];
    bool good = strlen(text) == 17;

    for (unsigned i = 0; good && i < 6; i++) {
        int high = g_ascii_xdigit_value(text[3 * i]);
        int low = g_ascii_xdigit_value(text[3 * i + 1]);

        good = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
        bytes[i] = good ? (uint8_t)(high << 4 | low) : 0;
    }
    if (!good) {
        return fail_value(error, text, "a MAC address such as 52:54:00:12:34:56");
    }
    memcpy(mac, bytes, sizeof(bytes));
    return true;
}

/* The range of a number: the table's, or the type's own. */
static void number_range(const struct property *property, uint64_t *minimum, uint64_t *maximum)
{
    *minimum = property->minimum;
    *maximum = property->maximum;
    if (*minimum || *maximum) {
        return;
    }
    switch (property_type(property)) {
    case PROPERTY_UINT8:
        *maximum = UINT8_MAX;
        break;
    case PROPERTY_UINT16:
        *maximum = UINT16_MAX;
        break;
    case PROPERTY_UINT32:
        *maximum = UINT32_MAX;
        break;
    default:
        *maximum = UINT64_MAX;
        break;
    }
}

static bool parse_ranged(const struct property *property, const char *text, uint64_t *value,
                         GError **error)
{
    uint64_t minimum, maximum, number;
    bool parsed = property_type(property) == PROPERTY_SIZE ? parse_size(text, 'B', &number, error)
                                                           : parse_number(text, &number, error);

    if (!parsed) {
        return false;
    }
    number_range(property, &minimum, &maximum);
    if (number < minimum || number > maximum) {
        g_autofree char *quoted = quote(text);

        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%s is out of range: 0x%" PRIx64 " to 0x%" PRIx64 " is valid", quoted,
                          minimum, maximum);
    }
    *value = number;
    return true;
}

static bool parse_chardev(struct machine *machine, const char *text, struct chardev **chardev,
                          GError **error)
{
    struct chardev *found = machine ? chardev_find(machine, text) : NULL;

    if (!found) {
        g_autofree char *quoted = quote(text);

        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "there is no character device %s: make it with -chardev ...,id=", quoted);
    }
    *chardev = found;
    return true;
}

static bool parse_netdev(struct machine *machine, const char *text, struct netdev **netdev,
                         GError **error)
{
    struct netdev *found = machine ? netdev_find(machine, text) : NULL;

    if (!found) {
        g_autofree char *quoted = quote(text);

        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "there is no network back end %s: make it with -netdev TYPE,id=", quoted);
    }
    *netdev = found;
    return true;
}

static bool set_value(struct machine *machine, void *field, const struct property *property,
                      const char *text, GError **error)
{
    uint64_t number = 0;

    switch (property_type(property)) {
    case PROPERTY_BOOL:
        return parse_bool(text, field, error);
    case PROPERTY_STRING:
    case PROPERTY_DRIVE:
        g_free(*(char **)field);
        *(char **)field = g_strdup(text);
        return true;
    case PROPERTY_CHARDEV:
        return parse_chardev(machine, text, field, error);
    case PROPERTY_NETDEV:
        return parse_netdev(machine, text, field, error);
    case PROPERTY_PCI_ADDRESS:
        return parse_pci_address(text, field, error);
    case PROPERTY_MAC:
        return parse_mac(text, field, error);
    case PROPERTY_BOOT_INDEX:
        return parse_boot_index(text, field, error);
    default:
        break;
    }
    if (!parse_ranged(property, text, &number, error)) {
        return false;
    }
    switch (property_type(property)) {
    case PROPERTY_UINT8:
        *(uint8_t *)field = (uint8_t)number;
        break;
    case PROPERTY_UINT16:
        *(uint16_t *)field = (uint16_t)number;
        break;
    case PROPERTY_UINT32:
        *(uint32_t *)field = (uint32_t)number;
        break;
    default:
        *(uint64_t *)field = number;
        break;
    }
    return true;
}

bool property_set(struct machine *machine, void *object, const struct property *property,
                  const char *text, GError **error)
{
    if (!set_value(machine, (char *)object + property->offset, property, text, error)) {
        g_prefix_error(error, "property '%s': ", property->name);
        return false;
    }
    return true;
}

void property_set_defaults(struct machine *machine, void *object, const struct property *table)
{
    for (; table && table->name; table++) {
        bool set = !table->default_value ||
                   property_set(machine, object, table, table->default_value, NULL);

        assert(set); /* a table's default that its own type refuses */
        (void)set;
    }
}

static bool is_text(const struct property *property)
{
    return property_type(property) == PROPERTY_STRING || property_type(property) == PROPERTY_DRIVE;
}

void property_free_values(void *object, const struct property *table)
{
    for (; table && table->name; table++) {
        if (is_text(table)) {
            g_clear_pointer((char **)((char *)object + table->offset), g_free);
        }
    }
}

const struct property *property_find(const struct property *table, const char *name)
{
    for (; table && table->name; table++) {
        if (g_str_equal(table->name, name)) {
            return table;
        }
    }
    return NULL;
}

static char *pci_address_text(int32_t devfn)
{
    return devfn < 0 ? g_strdup("-1") : g_strdup_printf("%02x.%x", devfn >> 3, devfn & 7);
}

char *property_get_text(const void *object, const struct property *property)
{
    const char *field = (const char *)object + property->offset;
    const uint8_t *mac = (const uint8_t *)field;
    const struct chardev *chardev;
    const struct netdev *netdev;

    switch (property_type(property)) {
    case PROPERTY_BOOL:
        return g_strdup(*(const bool *)field ? "on" : "off");
    case PROPERTY_UINT8:
        return g_strdup_printf("%" PRIu8, *(const uint8_t *)field);
    case PROPERTY_UINT16:
        return g_strdup_printf("%" PRIu16, *(const uint16_t *)field);
    case PROPERTY_UINT32:
        return g_strdup_printf("%" PRIu32, *(const uint32_t *)field);
    case PROPERTY_UINT64:
    case PROPERTY_SIZE:
        return g_strdup_printf("%" PRIu64, *(const uint64_t *)field);
    case PROPERTY_STRING:
    case PROPERTY_DRIVE:
        return g_strdup(*(char *const *)field ? *(char *const *)field : "");
    case PROPERTY_CHARDEV:
        chardev = *(struct chardev *const *)field;
        return g_strdup(chardev ? chardev_id(chardev) : "");
    case PROPERTY_NETDEV:
        netdev = *(struct netdev *const *)field;
        return g_strdup(netdev ? netdev_id(netdev) : "");
    case PROPERTY_PCI_ADDRESS:
        return pci_address_text(*(const int32_t *)field);
    case PROPERTY_BOOT_INDEX:
        return g_strdup_printf("%d", (int)*(const int32_t *)field);
    case PROPERTY_MAC:
        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
    }
    return g_strdup("");
}
