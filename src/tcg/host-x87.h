/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87 arithmetic on the host's own x87 unit, under the guest's control word, masks included: the
 * unit notes an unmasked exception and reports it only at the next waiting instruction, so results
 * are those of the architecture (nothing stored, or the exponent wrapped) and we read the status
 * word and clear it in between. Each function returns the status word: exception flags and C0..C3.
 * A port to another host puts a software version behind the same functions.
 *
 * Between calls the host's register stack is empty and its control word is the ABI's.
 */
#ifndef DUODM_TCG_HOST_X87_H
#define DUODM_TCG_HOST_X87_H

#include "tcg/fpu.h"

#if !defined(__x86_64__)
#error "host-x87.h: x87 arithmetic is computed by the host and needs an x86-64 one"
#endif

#define HOST_X87_CONTROL 0x37f
#define HOST_X87_ENTER   "fnclex\n\tfldcw %[control]\n\t"
/* FNSTSW and FNCLEX do not wait; what follows them does. */
#define HOST_X87_STATUS "\n\tfnstsw %%ax\n\ttestb $0x80, %%al\n\tjz 1f\n\tfnclex\n1:\n\t"
#define HOST_X87_LEAVE  "\n\tfldcw %[host]"
#define HOST_X87_CLOBBER                                                                           \
    "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory"
#define HOST_X87_CONTROLS [control] "m"(control), [host] "m"(host)

/* value = OPERATION value */
#define HOST_X87_UNARY(operation)                                                                  \
    static inline uint16_t host_##operation(uint16_t control, struct x87_value *value)             \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER "fldt %[v]\n\t" #operation HOST_X87_STATUS                 \
                                        "fstpt %[v]" HOST_X87_LEAVE                                \
                         : [v] "+m"(*value), "=a"(status)                                          \
                         : HOST_X87_CONTROLS                                                       \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* a = a OPERATION b; the text has a in ST(0), b in ST(1) and pops nothing */
#define HOST_X87_BINARY(operation, text)                                                           \
    static inline uint16_t host_##operation(uint16_t control, struct x87_value *a,                 \
                                            const struct x87_value *b)                             \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER "fldt %[b]\n\tfldt %[a]\n\t" text HOST_X87_STATUS          \
                                        "fstpt %[a]\n\tfstp %%st(0)" HOST_X87_LEAVE                \
                         : [a] "+m"(*a), "=a"(status)                                              \
                         : [b] "m"(*b), HOST_X87_CONTROLS                                          \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* a = a OPERATION memory */
#define HOST_X87_MEMORY(name, text, type)                                                          \
    static inline uint16_t host_##name(uint16_t control, struct x87_value *a, type memory)         \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER "fldt %[a]\n\t" text " %[m]" HOST_X87_STATUS               \
                                        "fstpt %[a]" HOST_X87_LEAVE                                \
                         : [a] "+m"(*a), "=a"(status)                                              \
                         : [m] "m"(memory), HOST_X87_CONTROLS                                      \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/*
 * Loads and stores. Without an unmasked exception they surely pushed or popped; with one, FNINIT
 * clears up whatever is left. *value is not changed by a load that an exception kept from pushing.
 */
#define HOST_X87_LOAD(name, text, type)                                                            \
    static inline uint16_t host_##name(uint16_t control, struct x87_value *value, type memory)     \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER text " %[m]\n\tfnstsw %%ax\n\ttestb $0x80, %%al\n\tjnz 1f" \
                                             "\n\tfstpt %[v]" HOST_X87_LEAVE "\n\tjmp 2f\n"        \
                                             "1:\tfnclex\n\tfstpt %[v]\n\tfninit\n2:"              \
                         : [v] "+m"(*value), "=a"(status)                                          \
                         : [m] "m"(memory), HOST_X87_CONTROLS                                      \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* Did a load with this status push? TOP was 0 before. */
static inline bool host_x87_pushed(uint16_t status)
{
    return ((status >> 11) & 7) == 7;
}

/* memory = value, unless an unmasked exception forbids it. pop: what empties the stack after. */
#define HOST_X87_STORE(name, text, type, pop)                                                      \
    static inline uint16_t host_##name(uint16_t control, const struct x87_value *value,            \
                                       type *memory)                                               \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER "fldt %[v]\n\t" text                                       \
                                        " %[m]\n\tfnstsw %%ax\n\ttestb $0x80, %%al\n\tjnz 1f"      \
                                        "\n\t" pop HOST_X87_LEAVE "\n\tjmp 2f\n1:\tfninit\n2:"     \
                         : [m] "+m"(*memory), "=a"(status)                                         \
                         : [v] "m"(*value), HOST_X87_CONTROLS                                      \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

#define HOST_X87_CONSTANT(operation)                                                               \
    static inline uint16_t host_##operation(uint16_t control, struct x87_value *value)             \
    {                                                                                              \
        const uint16_t host = HOST_X87_CONTROL;                                                    \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER #operation HOST_X87_STATUS "fstpt %[v]" HOST_X87_LEAVE     \
                         : [v] "=m"(*value), "=a"(status)                                          \
                         : HOST_X87_CONTROLS                                                       \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* b = OPERATION of a (ST0) and b (ST1), popping: the result is the new ST0 */
#define HOST_X87_POPPING(operation)                                                                \
    static inline uint16_t host_##operation(uint16_t control, struct x87_value *a,                 \
                                            const struct x87_value *b)                             \
    {                                                                                              \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER                                                            \
                         "fldt %[b]\n\tfldt %[b]\n\tfldt %[a]\n\t" #operation HOST_X87_STATUS      \
                         "fstpt %[a]\n\tfninit"                                                    \
                         : [a] "+m"(*a), "=a"(status)                                              \
                         : [b] "m"(*b), [control] "m"(control)                                     \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* ST0 is replaced by second, then first is pushed */
#define HOST_X87_PUSHING(operation)                                                                \
    static inline uint16_t host_##operation(uint16_t control, struct x87_value *first,             \
                                            struct x87_value *second)                              \
    {                                                                                              \
        uint16_t status;                                                                           \
                                                                                                   \
        __asm__ volatile(HOST_X87_ENTER "fldz\n\tfldt %[a]\n\t" #operation HOST_X87_STATUS         \
                                        "fstpt %[a]\n\tfstpt %[b]\n\tfninit"                       \
                         : [a] "+m"(*first), [b] "=m"(*second), "=a"(status)                       \
                         : [control] "m"(control)                                                  \
                         : HOST_X87_CLOBBER);                                                      \
        return status;                                                                             \
    }

/* ADD SUB SUBR MUL DIV DIVR, with a register, m32, m64, m16int, m32int */
#define HOST_X87_FAMILY(operation)                                                                 \
    HOST_X87_BINARY(f##operation, "f" #operation " %%st(1), %%st")                                 \
    HOST_X87_MEMORY(f##operation##_m32, "f" #operation "s", uint32_t)                              \
    HOST_X87_MEMORY(f##operation##_m64, "f" #operation "l", uint64_t)                              \
    HOST_X87_MEMORY(fi##operation##_m16, "fi" #operation "s", uint16_t)                            \
    HOST_X87_MEMORY(fi##operation##_m32, "fi" #operation "l", uint32_t)

HOST_X87_FAMILY(add)
HOST_X87_FAMILY(mul)
HOST_X87_FAMILY(sub)
HOST_X87_FAMILY(subr)
HOST_X87_FAMILY(div)
HOST_X87_FAMILY(divr)

/* The relation is in C3, C2, C0. */
HOST_X87_BINARY(fcom, "fcom %%st(1)")
HOST_X87_BINARY(fucom, "fucom %%st(1)")
HOST_X87_MEMORY(fcom_m32, "fcoms", uint32_t)
HOST_X87_MEMORY(fcom_m64, "fcoml", uint64_t)
HOST_X87_MEMORY(ficom_m16, "ficoms", uint16_t)
HOST_X87_MEMORY(ficom_m32, "ficoml", uint32_t)
HOST_X87_UNARY(ftst)
HOST_X87_UNARY(fxam)

HOST_X87_UNARY(fchs)
HOST_X87_UNARY(fabs)
HOST_X87_UNARY(fsqrt)
HOST_X87_UNARY(frndint)
HOST_X87_UNARY(f2xm1)
HOST_X87_UNARY(fsin)
HOST_X87_UNARY(fcos)
HOST_X87_BINARY(fscale, "fscale")
/* Some processors leave C3 and C0 alone if the quotient is trivial: FXAM of a one clears them. */
HOST_X87_BINARY(fprem, "fld1\n\tfxam\n\tfstp %%st(0)\n\tfprem")
HOST_X87_BINARY(fprem1, "fld1\n\tfxam\n\tfstp %%st(0)\n\tfprem1")
HOST_X87_POPPING(fpatan)
HOST_X87_POPPING(fyl2x)
HOST_X87_POPPING(fyl2xp1)
HOST_X87_PUSHING(fptan)
HOST_X87_PUSHING(fsincos)
HOST_X87_PUSHING(fxtract)

struct x87_bcd {
    uint8_t bytes[10];
};

HOST_X87_LOAD(fld_m32, "flds", uint32_t)
HOST_X87_LOAD(fld_m64, "fldl", uint64_t)
HOST_X87_LOAD(fild_m16, "filds", uint16_t)
HOST_X87_LOAD(fild_m32, "fildl", uint32_t)
HOST_X87_LOAD(fild_m64, "fildq", uint64_t)
HOST_X87_LOAD(fbld, "fbld", struct x87_bcd)
HOST_X87_STORE(fst_m32, "fsts", uint32_t, "fstp %%st(0)")
HOST_X87_STORE(fst_m64, "fstl", uint64_t, "fstp %%st(0)")
HOST_X87_STORE(fist_m16, "fists", uint16_t, "fstp %%st(0)")
HOST_X87_STORE(fist_m32, "fistl", uint32_t, "fstp %%st(0)")
HOST_X87_STORE(fist_m64, "fistpq", uint64_t, "")
HOST_X87_STORE(fisttp_m16, "fisttps", uint16_t, "")
HOST_X87_STORE(fisttp_m32, "fisttpl", uint32_t, "")
HOST_X87_STORE(fisttp_m64, "fisttpq", uint64_t, "")
HOST_X87_STORE(fbstp, "fbstp", struct x87_bcd, "")

HOST_X87_CONSTANT(fld1)
HOST_X87_CONSTANT(fldl2t)
HOST_X87_CONSTANT(fldl2e)
HOST_X87_CONSTANT(fldpi)
HOST_X87_CONSTANT(fldlg2)
HOST_X87_CONSTANT(fldln2)
HOST_X87_CONSTANT(fldz)

#endif
