/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All rows of all opcode maps, and which of them user mode can compare on this host. */
#include "native.h"
#include "tcg/avx.h"
#include "tcg/cpu-model.h"

#include <cpuid.h>
#include <string.h>

static void add_rows(GArray *rows, const struct opcode *row, struct native_row path);

/* field: of *path, what chooses among the rows */
static void add_sub(GArray *rows, const struct opcode *row, struct native_row *path, int8_t *field,
                    unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        *field = i;
        add_rows(rows, &row->sub[i], *path);
    }
}

static void add_rows(GArray *rows, const struct opcode *row, struct native_row path)
{
    switch (row->kind) {
    case OPCODE_INSN:
        path.row = row;
        g_array_append_val(rows, path);
        break;
    case OPCODE_GROUP:
        add_sub(rows, row, &path, &path.reg, 8);
        break;
    case OPCODE_PREFIX:
        add_sub(rows, row, &path, &path.prefix, 4);
        break;
    case OPCODE_MOD:
        add_sub(rows, row, &path, &path.mod, 2);
        break;
    case OPCODE_RM:
        add_sub(rows, row, &path, &path.rm, 8);
        break;
    case OPCODE_W:
        add_sub(rows, row, &path, &path.w, 2);
        break;
    case OPCODE_X87:
        for (unsigned i = 0; i < 16; i++) {
            path.mod = i / 8;
            path.reg = i % 8;
            add_rows(rows, &row->sub[i], path);
        }
        break;
    default:
        break;
    }
}

static void add_map(GArray *rows, const struct opcode *map, unsigned count, unsigned first,
                    struct native_row path)
{
    path.prefix = path.reg = path.rm = path.mod = path.w = -1;
    for (unsigned i = 0; i < count; i++) {
        path.opcode = first + i;
        add_rows(rows, &map[i], path);
    }
}

GArray *native_rows_new(void)
{
    GArray *rows = g_array_new(FALSE, TRUE, sizeof(struct native_row));
    struct native_row one = {.map = ""};
    struct native_row two = {.map = "0f ", .lead = {0x0f}, .lead_count = 1};
    struct native_row x38 = {.map = "0f38 ", .lead = {0x0f, 0x38}, .lead_count = 2};
    struct native_row x3a = {.map = "0f3a ", .lead = {0x0f, 0x3a}, .lead_count = 2};

    add_map(rows, opcode_map_one_byte, 256, 0, one);
    add_map(rows, opcode_map_0f, 256, 0, two);
    add_map(rows, opcode_map_0f_simd, 256, 0, two);
    add_map(rows, opcode_map_0f38, 256, 0, x38);
    add_map(rows, opcode_map_0f3a, 256, 0, x3a);
    add_map(rows, opcode_map_x87, 8, 0xd8, one);
    add_map(rows, opcode_map_vex_0f, 256, 0, (struct native_row){.map = "vex.0f ", .vex_map = 1});
    add_map(rows, opcode_map_vex_0f38, 256, 0,
            (struct native_row){.map = "vex.0f38 ", .vex_map = 2});
    add_map(rows, opcode_map_vex_0f3a, 256, 0,
            (struct native_row){.map = "vex.0f3a ", .vex_map = 3});
    return rows;
}

static bool host_has(enum cpu_feature feature)
{
    const struct cpu_feature_place *place = &cpu_feature_places[feature];
    unsigned registers[4] = {0};
    unsigned eax, ebx, ecx, edx;

    if (!__get_cpuid_count(place->leaf, place->subleaf, &registers[0], &registers[1], &registers[2],
                           &registers[3])) {
        return false;
    }
    /* XSAVE and what hangs on it is there if the system has enabled it too (OSXSAVE). */
    if (feature == FEATURE_XSAVE || feature == FEATURE_XSAVEOPT || feature == FEATURE_XSAVEC) {
        if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) {
            return false;
        }
    }
    return (registers[place->reg] >> place->bit) & 1;
}

void native_host_features(struct cpu_features *features)
{
    struct cpu_features host;

    memset(features, 0, sizeof(*features));
    for (unsigned i = FEATURE_NONE + 1; i < FEATURE_COUNT; i++) {
        cpu_features_set(features, i, host_has(i));
    }
    host_features_get(&host);
    avx_hide_unavailable(features, &host);
}

/* Loads of segment registers and far transfers: user mode, but the system's own descriptors. */
static bool uses_descriptors(const struct opcode *row)
{
    static const char *const names[] = {"callf", "jmpf", "retf", "iret", "int", "int1",    "int3",
                                        "into",  "lds",  "les",  "lss",  "lfs", "lgs",     "lar",
                                        "lsl",   "verr", "verw", "arpl", "hlt", "sysenter"};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(row->name, names[i]) == 0) {
            return true;
        }
    }
    return row->operands[0] == Sw ||
           (strcmp(row->name, "pop") == 0 && row->operands[0] >= sES && row->operands[0] <= sGS);
}

bool native_row_is_comparable(const struct native_row *row, const struct cpu_features *host,
                              bool with_32)
{
    if ((row->row->flags & OP_NOT_64) && !with_32) {
        return false;
    }
    return !(row->row->flags & (OP_SYSTEM | OP_NO_NATIVE)) && !uses_descriptors(row->row) &&
           (row->row->feature == FEATURE_NONE || cpu_features_have(host, row->row->feature));
}
