/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of board "q35". The processors are in an SSDT, which acpi-ssdt.c writes. The C preprocessor
 * puts it together.
 */

#include "dsdt-macros.asl"
#define ALL_SLOTS(do) do (S01, 1) COMMON_SLOTS (do)

// In _PRT: the link of a line.
#define ROUTE(name, line)                                                                           \
    If (Local3 == line) {Local4 = Package (4) {Zero, Zero, name, Zero}}

DefinitionBlock ("", "DSDT", 2, "DUODM ", "DUODMPC ", 0x00000001)
{
#include "dsdt-names.asl"

    // SLP_TYP 7 of the ICH9 is soft off.
    Name (\_S5, Package () {7, 7, Zero, Zero})

    // How the operating system takes interrupts: 0 by the 8259s, 1 by the IOAPIC.
    Name (\PICM, Zero)
    Method (\_PIC, 1, NotSerialized)
    {
        \PICM = Arg0
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)

            // PCI Firmware Specification 3.3, 4.5: the operating system may have hotplug (bit 0) and
            // power management events (2) of root ports, and the PCI Express capability (4).
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, Zero, STAT)
                If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
                {
                    STAT |= 0x04
                    Return (Arg3)
                }

                CreateDWordField (Arg3, 0x08, CTRL)
                If (Arg1 != One)
                {
                    STAT |= 0x08
                }

                Local0 = CTRL & 0x15
                If (Local0 != CTRL)
                {
                    STAT |= 0x10
                }

                CTRL = Local0
                Return (Arg3)
            }

#include "dsdt-windows.asl"

            // Pin p of slots 25 to 31 is on PIRQ line p; the others take turns at lines E to H. With
            // an IOAPIC, lines arrive at its inputs 16 to 23.
            Method (_PRT, 0, NotSerialized)
            {
                Local0 = Package (128) {}
                Local1 = Zero
                While (Local1 < 128)
                {
                    Local2 = Local1 >> 2
                    Local3 = Local1 & 3
                    If (Local2 < 25)
                    {
                        Local3 = ((Local1 + Local2) & 3) + 4
                    }

                    Local4 = Package (4) {Zero, Zero, Zero, Zero}
                    If (\PICM)
                    {
                        Local4 [3] = Local3 + 16
                    }
                    Else
                    {
                        ROUTE (LNKA, 0)
                        ROUTE (LNKB, 1)
                        ROUTE (LNKC, 2)
                        ROUTE (LNKD, 3)
                        ROUTE (LNKE, 4)
                        ROUTE (LNKF, 5)
                        ROUTE (LNKG, 6)
                        ROUTE (LNKH, 7)
                    }

                    Local4 [Zero] = (Local2 << 16) | 0xFFFF
                    Local4 [One] = Local1 & 3
                    Local0 [Local1] = Local4
                    Local1++
                }

                Return (Local0)
            }

#include "dsdt-hotplug.asl"

            // ICH9: LPC bridge.
            Device (ISA)
            {
                Name (_ADR, 0x001F0000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8,
                    Offset (0x08),
                    PRQE, 8,
                    PRQF, 8,
                    PRQG, 8,
                    PRQH, 8
                }

#include "dsdt-isa.asl"
            }
        }

        // Ports of the chipset that no other device here names, and its registers in memory.
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
                IO (Decode16, 0x0092, 0x0092, 0x01, 0x01)
                IO (Decode16, 0x00B2, 0x00B2, 0x01, 0x02)
                IO (Decode16, 0x0600, 0x0600, 0x01, 0x80)
                IO (Decode16, 0xAE00, 0xAE00, 0x01, 0x14)
                Memory32Fixed (ReadWrite, 0xFED1C000, 0x00004000)
            })
        }

        // Config space in memory, as MCFG has it.
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xB0000000, 0x10000000)
            })
        }

#include "dsdt-system.asl"

        // The PIRQ lines and the ISA interrupts that they are routed to, for the 8259s. Bit 7 of a
        // route turns it off.
#include "dsdt-links.asl"

        LINK (LNKA, 1, PRQA)
        LINK (LNKB, 2, PRQB)
        LINK (LNKC, 3, PRQC)
        LINK (LNKD, 4, PRQD)
        LINK (LNKE, 5, PRQE)
        LINK (LNKF, 6, PRQF)
        LINK (LNKG, 7, PRQG)
        LINK (LNKH, 8, PRQH)
    }

    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PNEW ()
        }
    }
}
