/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of board "pc". The processors are in an SSDT, which acpi-ssdt.c writes. The C preprocessor
 * makes the slots of it.
 */

#include "dsdt-macros.asl"
#define ALL_SLOTS(do) COMMON_SLOTS (do) do (S1F, 31)

DefinitionBlock ("", "DSDT", 2, "DUODM ", "DUODMPC ", 0x00000001)
{
#include "dsdt-names.asl"

    // SLP_TYP 0 of the PIIX4 is soft off.
    Name (\_S5, Package () {Zero, Zero, Zero, Zero})

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)

#include "dsdt-windows.asl"

            // Slot s, pin p is wired to PIRQ line (s + p - 1) mod 4: INTA of slot 1 to PIRQA.
            Method (_PRT, 0, NotSerialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = (Local1 + Local2 + 3) & 3
                    If (Local3 == 0)
                    {
                        Local4 = Package (4) {Zero, Zero, LNKA, Zero}
                    }
                    ElseIf (Local3 == 1)
                    {
                        Local4 = Package (4) {Zero, Zero, LNKB, Zero}
                    }
                    ElseIf (Local3 == 2)
                    {
                        Local4 = Package (4) {Zero, Zero, LNKC, Zero}
                    }
                    Else
                    {
                        Local4 = Package (4) {Zero, Zero, LNKD, Zero}
                    }

                    Local4 [Zero] = (Local2 << 16) | 0xFFFF
                    Local4 [One] = Local1 & 3
                    Local0 [Local1] = Local4
                    Local1++
                }

                Return (Local0)
            }

#include "dsdt-hotplug.asl"

            // PIIX3: ISA bridge.
            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x04)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8
                }

#include "dsdt-isa.asl"
            }
        }

        // Ports of the chipset that no other device here names.
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
                IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x40)
                IO (Decode16, 0xAE00, 0xAE00, 0x01, 0x14)
                IO (Decode16, 0xAFE0, 0xAFE0, 0x01, 0x04)
            })
        }

#include "dsdt-system.asl"

        // The PIRQ lines of the PIIX3 and the ISA interrupts that they are routed to. With an
        // IOAPIC, a line arrives at the input of the same number. Bit 7 of a route turns it off.
#include "dsdt-links.asl"

        LINK (LNKA, One, PRQA)
        LINK (LNKB, 2, PRQB)
        LINK (LNKC, 3, PRQC)
        LINK (LNKD, 4, PRQD)
    }

    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PNEW ()
        }
    }
}
