/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two-byte opcode map, integer and system instructions: SDM vol. 2, appendix A, tables
 * (groups 6 to 9, 15, 16). Vector instructions are in opcodes-0f-simd.c.
 */
#include "tcg/execute.h"
#include "tcg/opcode-rows.h"

static const struct opcode group6[8] = {
    [0] = ROW("sldt", OP_SYSTEM | OP_PROTECTED, ONE(sldt), Ev),
    [1] = ROW("str", OP_SYSTEM | OP_PROTECTED, ONE(str), Ev),
    [2] = ROW("lldt", OP_SYSTEM | OP_PROTECTED, ONE(lldt), Ew),
    [3] = ROW("ltr", OP_SYSTEM | OP_PROTECTED, ONE(ltr), Ew),
    [4] = ROW("verr", OP_SYSTEM | OP_PROTECTED, ONE(verr), Ew),
    [5] = ROW("verw", OP_SYSTEM | OP_PROTECTED, ONE(verw), Ew),
};

static const struct opcode group7_memory[8] = {
    [0] = ROW("sgdt", OP_SYSTEM, ONE(sgdt), M),
    [1] = ROW("sidt", OP_SYSTEM, ONE(sidt), M),
    [2] = ROW("lgdt", OP_SYSTEM | OP_END, ONE(lgdt), M),
    [3] = ROW("lidt", OP_SYSTEM | OP_END, ONE(lidt), M),
    [4] = ROW("smsw", OP_SYSTEM, ONE(smsw), Ev),
    [6] = ROW("lmsw", OP_SYSTEM | OP_END, ONE(lmsw), Ew),
    [7] = ROW("invlpg", OP_SYSTEM | OP_END, ONE(invlpg), M),
};
static const struct opcode group7_reg0[8] = {
    [1] = ROW_IF(HYPERVISOR, "vmcall", OP_SYSTEM | OP_END, ONE(hypercall)),
};
static const struct opcode group7_reg3[8] = {
    [1] = ROW_IF(HYPERVISOR, "vmmcall", OP_SYSTEM | OP_END, ONE(hypercall)),
};
static const struct opcode group7_reg1[8] = {
    [0] = ROW_IF(MONITOR, "monitor", OP_SYSTEM, ONE(monitor)),
    [1] = ROW_IF(MONITOR, "mwait", OP_SYSTEM | OP_END, ONE(mwait)),
    [2] = ROW_IF(SMAP, "clac", OP_SYSTEM | OP_END, ONE(clac)),
    [3] = ROW_IF(SMAP, "stac", OP_SYSTEM | OP_END, ONE(stac)),
};
static const struct opcode group7_reg7[8] = {
    [0] = ROW_IF(LM, "swapgs", OP_SYSTEM | OP_ONLY_64, ONE(swapgs)),
    [1] = ROW_IF(RDTSCP, "rdtscp", OP_NO_NATIVE, ONE(rdtscp)),
};
/* CLAC and STAC take no mandatory prefix. */
static const struct opcode group7_reg1_prefix[4] = {LEADS(OPCODE_RM, group7_reg1)};
static const struct opcode group7_register[8] = {
    [0] = LEADS(OPCODE_RM, group7_reg0),
    [1] = LEADS(OPCODE_PREFIX, group7_reg1_prefix),
    [3] = LEADS(OPCODE_RM, group7_reg3),
    [4] = ROW("smsw", OP_SYSTEM, ONE(smsw), Ev),
    [6] = ROW("lmsw", OP_SYSTEM | OP_END, ONE(lmsw), Ew),
    [7] = LEADS(OPCODE_RM, group7_reg7),
};
static const struct opcode group7_mod[2] = {
    LEADS(OPCODE_GROUP, group7_memory),
    LEADS(OPCODE_GROUP, group7_register),
};

static const struct opcode group8[8] = {
    [4] = ROW("bt", OP_READS_ONLY, SIZED(bt_imm), Ev, Ib),
    [5] = ROW("bts", OP_LOCK, SIZED(bts_imm), Ev, Ib),
    [6] = ROW("btr", OP_LOCK, SIZED(btr_imm), Ev, Ib),
    [7] = ROW("btc", OP_LOCK, SIZED(btc_imm), Ev, Ib),
};

static const struct opcode cmpxchg8b_w[2] = {
    ROW_IF(CX8, "cmpxchg8b", OP_LOCK, ONE(cmpxchg8b), Mq),
    ROW_IF(CX16, "cmpxchg16b", OP_LOCK, ONE(cmpxchg16b), Mdq),
};
static const struct opcode group9_memory[8] = {
    [1] = LEADS(OPCODE_W, cmpxchg8b_w),
};
static const struct opcode rdrand_prefix[4] = {
    [0] = ROW_IF(RDRAND, "rdrand", OP_NO_NATIVE, ONE(rdrand), Rv),
    [1] = ROW_IF(RDRAND, "rdrand", OP_NO_NATIVE, ONE(rdrand), Rv),
};
static const struct opcode rdseed_prefix[4] = {
    [0] = ROW_IF(RDSEED, "rdseed", OP_NO_NATIVE, ONE(rdrand), Rv),
    [1] = ROW_IF(RDSEED, "rdseed", OP_NO_NATIVE, ONE(rdrand), Rv),
    [2] = ROW_IF(RDPID, "rdpid", OP_NO_NATIVE, ONE(rdpid), Ry),
};
static const struct opcode group9_register[8] = {
    [6] = LEADS(OPCODE_PREFIX, rdrand_prefix),
    [7] = LEADS(OPCODE_PREFIX, rdseed_prefix),
};
static const struct opcode group9_mod[2] = {
    LEADS(OPCODE_GROUP, group9_memory),
    LEADS(OPCODE_GROUP, group9_register),
};

/* Group 15: the fences, cache lines and base registers; FXSAVE and its kin are in the other map. */
static const struct opcode clflush_prefix[4] = {
    [0] = ROW_IF(CLFLUSH, "clflush", 0, ONE(clflush), Mb),
    [1] = ROW_IF(CLFLUSHOPT, "clflushopt", 0, ONE(clflush), Mb),
};
static const struct opcode group15_memory[8] = {
    [7] = LEADS(OPCODE_PREFIX, clflush_prefix),
};
static const struct opcode rdfsbase[4] = {
    [2] = ROW_IF(FSGSBASE, "rdfsbase", OP_ONLY_64 | OP_SYSTEM, ONE(rdfsbase), Ry),
};
static const struct opcode rdgsbase[4] = {
    [2] = ROW_IF(FSGSBASE, "rdgsbase", OP_ONLY_64 | OP_SYSTEM, ONE(rdgsbase), Ry),
};
static const struct opcode wrfsbase[4] = {
    [2] = ROW_IF(FSGSBASE, "wrfsbase", OP_ONLY_64 | OP_SYSTEM, ONE(wrfsbase), Ry),
};
static const struct opcode wrgsbase[4] = {
    [2] = ROW_IF(FSGSBASE, "wrgsbase", OP_ONLY_64 | OP_SYSTEM, ONE(wrgsbase), Ry),
};
static const struct opcode lfence[4] = {ROW_IF(SSE2, "lfence", 0, ONE(fence))};
static const struct opcode mfence[4] = {ROW_IF(SSE2, "mfence", 0, ONE(fence))};
static const struct opcode sfence[4] = {ROW_IF(SSE, "sfence", 0, ONE(fence))};
static const struct opcode group15_register[8] = {
    [0] = LEADS(OPCODE_PREFIX, rdfsbase), [1] = LEADS(OPCODE_PREFIX, rdgsbase),
    [2] = LEADS(OPCODE_PREFIX, wrfsbase), [3] = LEADS(OPCODE_PREFIX, wrgsbase),
    [5] = LEADS(OPCODE_PREFIX, lfence),   [6] = LEADS(OPCODE_PREFIX, mfence),
    [7] = LEADS(OPCODE_PREFIX, sfence),
};
static const struct opcode group15_mod[2] = {
    LEADS(OPCODE_GROUP, group15_memory),
    LEADS(OPCODE_GROUP, group15_register),
};

/* Without their mandatory prefix or feature, LZCNT and TZCNT are BSR and BSF: the handlers know. */
static const struct opcode popcnt[4] = {
    [2] = ROW_IF(POPCNT, "popcnt", 0, SIZED(popcnt), Gv, Ev),
};
static const struct opcode tzcnt[4] = {
    [0] = ROW("bsf", 0, SIZED(bsf), Gv, Ev),
    [1] = ROW("bsf", 0, SIZED(bsf), Gv, Ev),
    [2] = ROW("tzcnt", 0, SIZED(tzcnt), Gv, Ev),
    [3] = ROW("bsf", 0, SIZED(bsf), Gv, Ev),
};
static const struct opcode lzcnt[4] = {
    [0] = ROW("bsr", 0, SIZED(bsr), Gv, Ev),
    [1] = ROW("bsr", 0, SIZED(bsr), Gv, Ev),
    [2] = ROW("lzcnt", 0, SIZED(lzcnt), Gv, Ev),
    [3] = ROW("bsr", 0, SIZED(bsr), Gv, Ev),
};
static const struct opcode movnti[4] = {
    [0] = ROW_IF(SSE2, "movnti", 0, SIZED(mov_rm_reg), My, Gy),
};

#define CMOV(name)      ROW_IF(CMOV, name, 0, SIZED(cmov), Gv, Ev)
#define JCC(name, code) ROW(name, OP_FORCE_64 | OP_END, ONE(jcc_##code), Jz)
#define SETCC(name)     ROW(name, 0, ONE(setcc), Eb)
#define HINT_NOP        ROW("nop", 0, ONE(nop), Ev)

const struct opcode opcode_map_0f[256] = {
    [0x00] = LEADS(OPCODE_GROUP, group6),
    [0x01] = LEADS(OPCODE_MOD, group7_mod),
    [0x02] = ROW("lar", OP_SYSTEM | OP_PROTECTED, ONE(lar), Gv, Ew),
    [0x03] = ROW("lsl", OP_SYSTEM | OP_PROTECTED, ONE(lsl), Gv, Ew),
    [0x05] = ROW_IF(SYSCALL, "syscall", OP_SYSTEM | OP_END, ONE(syscall)),
    [0x06] = ROW("clts", OP_SYSTEM | OP_END, ONE(clts)),
    [0x07] = ROW_IF(SYSCALL, "sysret", OP_SYSTEM | OP_END, ONE(sysret)),
    [0x08] = ROW("invd", OP_SYSTEM, ONE(wbinvd)),
    [0x09] = ROW("wbinvd", OP_SYSTEM, ONE(wbinvd)),
    [0x0b] = ROW("ud2", OP_SYSTEM | OP_END, ONE(undefined)),
    [0x0d] = ROW("prefetch", 0, ONE(nop), Mb), /* also PREFETCHW */

    [0x18 ... 0x1f] = HINT_NOP, /* PREFETCHh, ENDBR32, ENDBR64, RDSSP, NOP */

    [0x20] = ROW("mov", OP_SYSTEM, ONE(mov_from_cr), Rd, Cd),
    [0x21] = ROW("mov", OP_SYSTEM, ONE(mov_from_dr), Rd, Dd),
    [0x22] = ROW("mov", OP_SYSTEM | OP_END, ONE(mov_to_cr), Cd, Rd),
    [0x23] = ROW("mov", OP_SYSTEM | OP_END, ONE(mov_to_dr), Dd, Rd),

    [0x30] = ROW_IF(MSR, "wrmsr", OP_SYSTEM | OP_END, ONE(wrmsr)),
    [0x31] = ROW_IF(TSC, "rdtsc", OP_NO_NATIVE, ONE(rdtsc)),
    [0x32] = ROW_IF(MSR, "rdmsr", OP_SYSTEM, ONE(rdmsr)),
    [0x33] = ROW("rdpmc", OP_SYSTEM, ONE(rdpmc)),
    [0x34] = ROW_IF(SEP, "sysenter", OP_SYSTEM | OP_END, ONE(sysenter)),
    [0x35] = ROW_IF(SEP, "sysexit", OP_SYSTEM | OP_END, ONE(sysexit)),
    /* 38, 3A: three-byte maps, known to the decoder */

    [0x40] = CMOV("cmovo"),
    [0x41] = CMOV("cmovno"),
    [0x42] = CMOV("cmovb"),
    [0x43] = CMOV("cmovae"),
    [0x44] = CMOV("cmove"),
    [0x45] = CMOV("cmovne"),
    [0x46] = CMOV("cmovbe"),
    [0x47] = CMOV("cmova"),
    [0x48] = CMOV("cmovs"),
    [0x49] = CMOV("cmovns"),
    [0x4a] = CMOV("cmovp"),
    [0x4b] = CMOV("cmovnp"),
    [0x4c] = CMOV("cmovl"),
    [0x4d] = CMOV("cmovge"),
    [0x4e] = CMOV("cmovle"),
    [0x4f] = CMOV("cmovg"),

    [0x80] = JCC("jo", 0),
    [0x81] = JCC("jno", 1),
    [0x82] = JCC("jb", 2),
    [0x83] = JCC("jae", 3),
    [0x84] = JCC("je", 4),
    [0x85] = JCC("jne", 5),
    [0x86] = JCC("jbe", 6),
    [0x87] = JCC("ja", 7),
    [0x88] = JCC("js", 8),
    [0x89] = JCC("jns", 9),
    [0x8a] = JCC("jp", 10),
    [0x8b] = JCC("jnp", 11),
    [0x8c] = JCC("jl", 12),
    [0x8d] = JCC("jge", 13),
    [0x8e] = JCC("jle", 14),
    [0x8f] = JCC("jg", 15),

    [0x90] = SETCC("seto"),
    [0x91] = SETCC("setno"),
    [0x92] = SETCC("setb"),
    [0x93] = SETCC("setae"),
    [0x94] = SETCC("sete"),
    [0x95] = SETCC("setne"),
    [0x96] = SETCC("setbe"),
    [0x97] = SETCC("seta"),
    [0x98] = SETCC("sets"),
    [0x99] = SETCC("setns"),
    [0x9a] = SETCC("setp"),
    [0x9b] = SETCC("setnp"),
    [0x9c] = SETCC("setl"),
    [0x9d] = SETCC("setge"),
    [0x9e] = SETCC("setle"),
    [0x9f] = SETCC("setg"),

    [0xa0] = ROW("push", OP_DEFAULT_64, ONE(push_segment), sFS),
    [0xa1] = ROW("pop", OP_DEFAULT_64 | OP_SYSTEM | OP_END, ONE(pop_segment), sFS),
    [0xa2] = ROW("cpuid", OP_NO_NATIVE, ONE(cpuid)),
    [0xa3] = ROW("bt", OP_READS_ONLY, SIZED(bt_reg), Ev, Gv),
    [0xa4] = ROW("shld", 0, SIZED(shld_imm), Ev, Gv, Ib),
    [0xa5] = ROW("shld", 0, SIZED(shld_cl), Ev, Gv, rCL),
    [0xa8] = ROW("push", OP_DEFAULT_64, ONE(push_segment), sGS),
    [0xa9] = ROW("pop", OP_DEFAULT_64 | OP_SYSTEM | OP_END, ONE(pop_segment), sGS),
    [0xab] = ROW("bts", OP_LOCK, SIZED(bts_reg), Ev, Gv),
    [0xac] = ROW("shrd", 0, SIZED(shrd_imm), Ev, Gv, Ib),
    [0xad] = ROW("shrd", 0, SIZED(shrd_cl), Ev, Gv, rCL),
    [0xae] = LEADS(OPCODE_MOD, group15_mod),
    [0xaf] = ROW("imul", 0, SIZED(imul_reg), Gv, Ev),

    [0xb0] = ROW("cmpxchg", OP_LOCK, SIZED(cmpxchg), Eb, Gb),
    [0xb1] = ROW("cmpxchg", OP_LOCK, SIZED(cmpxchg), Ev, Gv),
    [0xb2] = ROW("lss", OP_SYSTEM | OP_END, ONE(lss), Gv, Mp),
    [0xb3] = ROW("btr", OP_LOCK, SIZED(btr_reg), Ev, Gv),
    [0xb4] = ROW("lfs", OP_SYSTEM | OP_END, ONE(lfs), Gv, Mp),
    [0xb5] = ROW("lgs", OP_SYSTEM | OP_END, ONE(lgs), Gv, Mp),
    [0xb6] = ROW("movzx", 0, SIZED(movzx_8), Gv, Eb),
    [0xb7] = ROW("movzx", 0, SIZED(movzx_16), Gv, Ew),
    [0xb8] = LEADS(OPCODE_PREFIX, popcnt),
    [0xb9] = ROW("ud1", OP_SYSTEM | OP_END, ONE(undefined), Gv, Ev),
    [0xba] = LEADS(OPCODE_GROUP, group8),
    [0xbb] = ROW("btc", OP_LOCK, SIZED(btc_reg), Ev, Gv),
    [0xbc] = LEADS(OPCODE_PREFIX, tzcnt),
    [0xbd] = LEADS(OPCODE_PREFIX, lzcnt),
    [0xbe] = ROW("movsx", 0, SIZED(movsx_8), Gv, Eb),
    [0xbf] = ROW("movsx", 0, SIZED(movsx_16), Gv, Ew),

    [0xc0] = ROW("xadd", OP_LOCK, SIZED(xadd), Eb, Gb),
    [0xc1] = ROW("xadd", OP_LOCK, SIZED(xadd), Ev, Gv),
    [0xc3] = LEADS(OPCODE_PREFIX, movnti),
    [0xc7] = LEADS(OPCODE_MOD, group9_mod),
    [0xc8 ... 0xcf] = ROW("bswap", 0, SIZED(bswap), Zv),

    [0xff] = ROW("ud0", OP_SYSTEM | OP_END, ONE(undefined), Gv, Ev),
};

static const struct opcode invpcid[4] = {
    [1] = ROW_IF(INVPCID, "invpcid", OP_SYSTEM | OP_END, ONE(invpcid), Gy, Mdq),
};
const struct opcode opcode_map_0f38_system[256] = {
    [0x82] = LEADS(OPCODE_PREFIX, invpcid),
};
