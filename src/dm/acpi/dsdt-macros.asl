/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Macros of the DSDTs of boards with slots: the C preprocessor makes AML's devices of them. */

// A slot that devices can be plugged into: its ejection, and what the guest says of requests.
#define SLOT(name, number)                                                                          \
    Device (name)                                                                                   \
    {                                                                                               \
        Name (_ADR, number << 16)                                                                   \
        Name (_SUN, number)                                                                         \
        Method (_EJ0, 1)                                                                            \
        {                                                                                           \
            PEJE = (1 << number)                                                                    \
        }                                                                                           \
        Method (_OST, 3)                                                                            \
        {                                                                                           \
            PANS (number, Arg0, Arg1)                                                               \
        }                                                                                           \
    }
// Local0: slots with a new device; Local1: with one that ought to go.
#define NOTIFY(name, number)                                                                        \
    If (Local0 & (1 << number)) {Notify (name, 1)}                                                  \
    If (Local1 & (1 << number)) {Notify (name, 3)}
#define COMMON_SLOTS(do)                                                                            \
    do (S02, 2) do (S03, 3) do (S04, 4) do (S05, 5) do (S06, 6) do (S07, 7) do (S08, 8)             \
    do (S09, 9) do (S0A, 10) do (S0B, 11) do (S0C, 12) do (S0D, 13) do (S0E, 14) do (S0F, 15)       \
    do (S10, 16) do (S11, 17) do (S12, 18) do (S13, 19) do (S14, 20) do (S15, 21) do (S16, 22)      \
    do (S17, 23) do (S18, 24) do (S19, 25) do (S1A, 26) do (S1B, 27) do (S1C, 28) do (S1D, 29)      \
    do (S1E, 30)
// The interrupt link of a PIRQ line, and the register of the ISA bridge that routes it.
#define LINK(name, number, route)                                                                   \
    Device (name)                                                                                   \
    {                                                                                               \
        Name (_HID, EisaId ("PNP0C0F"))                                                             \
        Name (_UID, number)                                                                         \
        Method (_PRS)                                                                               \
        {                                                                                           \
            Return (PRSP)                                                                           \
        }                                                                                           \
        Method (_STA)                                                                               \
        {                                                                                           \
            Return (LSTA (\_SB.PCI0.ISA.route))                                                     \
        }                                                                                           \
        Method (_DIS)                                                                               \
        {                                                                                           \
            \_SB.PCI0.ISA.route |= 0x80                                                             \
        }                                                                                           \
        Method (_CRS)                                                                               \
        {                                                                                           \
            Return (LCRS (\_SB.PCI0.ISA.route))                                                     \
        }                                                                                           \
        Method (_SRS, 1)                                                                            \
        {                                                                                           \
            \_SB.PCI0.ISA.route = LSRS (Arg0)                                                       \
        }                                                                                           \
    }
