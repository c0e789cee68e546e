/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of board "pc". The processors are in an SSDT, which acpi-ssdt.c writes. The C preprocessor
 * makes the slots of it.
 */

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
#define ALL_SLOTS(do)                                                                               \
    do (S02, 2) do (S03, 3) do (S04, 4) do (S05, 5) do (S06, 6) do (S07, 7) do (S08, 8)             \
    do (S09, 9) do (S0A, 10) do (S0B, 11) do (S0C, 12) do (S0D, 13) do (S0E, 14) do (S0F, 15)       \
    do (S10, 16) do (S11, 17) do (S12, 18) do (S13, 19) do (S14, 20) do (S15, 21) do (S16, 22)      \
    do (S17, 23) do (S18, 24) do (S19, 25) do (S1A, 26) do (S1B, 27) do (S1C, 28) do (S1D, 29)      \
    do (S1E, 30) do (S1F, 31)

DefinitionBlock ("", "DSDT", 2, "DUODM ", "DUODMPC ", 0x00000001)
{
    // acpi-tables.c sets these numbers; their size in the table is that of the placeholders. They are
    // not declared External, and set elsewhere, nor have they 64 bits, since firmware that reads
    // AML knows neither.
    Name (\M32B, 0x01234567) // first address of the 32-bit PCI window
    Name (\M64B, 0x01234567) // that of the 64-bit one in GiB; 0: there is none
    Name (\M64E, 0x01234567) // its end in GiB
    Name (\HPTE, 0x01234567) // the machine has an HPET
    Name (\SERM, 0x01234567) // bit n: it has serial port n

    // SLP_TYP 0 of the PIIX4 is soft off.
    Name (\_S5, Package () {Zero, Zero, Zero, Zero})

    // _STA of a device that may be missing.
    Method (PRES, 1, NotSerialized)
    {
        If (Arg0)
        {
            Return (0x0F)
        }

        Return (Zero)
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)

            Name (RES0, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x00000000, 0x000A0000, 0x000BFFFF, 0x00000000, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite,
                    0x00000000, 0xE0000000, 0xFEBFFFFF, 0x00000000, 0x1EC00000, , , W32)
            })
            Name (RES1, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x0000000000000000, 0x0000000800000000, 0x0000000FFFFFFFFF,
                    0x0000000000000000, 0x0000000800000000, , , W64)
            })

            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (RES0, \_SB.PCI0.W32._MIN, MIN)
                CreateDWordField (RES0, \_SB.PCI0.W32._MAX, MAX)
                CreateDWordField (RES0, \_SB.PCI0.W32._LEN, LEN)
                MIN = \M32B
                LEN = (MAX - MIN) + One
                If (\M64B == Zero)
                {
                    Return (RES0)
                }

                CreateQWordField (RES1, \_SB.PCI0.W64._MIN, MINQ)
                CreateQWordField (RES1, \_SB.PCI0.W64._MAX, MAXQ)
                CreateQWordField (RES1, \_SB.PCI0.W64._LEN, LENQ)
                MINQ = \M64B << 30
                MAXQ = (\M64E << 30) - One
                LENQ = (MAXQ - MINQ) + One
                Return (ConcatenateResTemplate (RES0, RES1))
            }

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

            // Hotplug: the registers of acpi-pci-hotplug.h.
            OperationRegion (PHPR, SystemIO, 0xAE00, 0x14)
            Field (PHPR, DWordAcc, NoLock, WriteAsZeros)
            {
                PINS, 32,
                PREM, 32,
                PEJE, 32,
                PREF, 32,
                PGON, 32
            }

            ALL_SLOTS (SLOT)

            // _OST of slot Arg0: a request to eject (by the machine or the guest's user) ended with
            // status Arg1: done, still going on, or anything else, which is a refusal.
            Method (PANS, 3, NotSerialized)
            {
                If ((Arg1 == 0x03) || (Arg1 == 0x0103))
                {
                    If ((Arg2 != Zero) && (Arg2 != 0x84))
                    {
                        PREF = (1 << Arg0)
                    }
                }
            }

            // Hand on the news, once.
            Method (PNEW, 0, Serialized)
            {
                Local0 = PINS
                PINS = Local0
                Local1 = PREM
                PREM = Local1
                Local2 = PGON
                PGON = Local2
                If (Local2)
                {
                    Notify (\_SB.PCI0, Zero) // look at the whole bus
                }

                ALL_SLOTS (NOTIFY)
            }

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

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                        IRQNoFlags () {8}
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () {1}
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () {12}
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, One)
                    Method (_STA)
                    {
                        Return (PRES (\SERM & 1))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                        IRQNoFlags () {4}
                    })
                }

                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 2)
                    Method (_STA)
                    {
                        Return (PRES (\SERM & 2))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 0x01, 0x08)
                        IRQNoFlags () {3}
                    })
                }

                Device (COM3)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 3)
                    Method (_STA)
                    {
                        Return (PRES (\SERM & 4))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03E8, 0x03E8, 0x01, 0x08)
                        IRQNoFlags () {4}
                    })
                }

                Device (COM4)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 4)
                    Method (_STA)
                    {
                        Return (PRES (\SERM & 8))
                    }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02E8, 0x02E8, 0x01, 0x08)
                        IRQNoFlags () {3}
                    })
                }
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

        // Firmware configuration items.
        Device (FWCF)
        {
            Name (_HID, "QEMU0002")
            Name (_STA, 0x0B)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0510, 0x0510, 0x01, 0x0C)
            })
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, Zero)
            Method (_STA)
            {
                Return (PRES (\HPTE))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
            })
        }

        // The PIRQ lines of the PIIX3 and the ISA interrupts that they are routed to. With an
        // IOAPIC, a line arrives at the input of the same number. Bit 7 of a route turns it off.
        Name (PRSP, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) {5, 10, 11}
        })
        Name (PRSC, ResourceTemplate ()
        {
            Interrupt (ResourceConsumer, Level, ActiveHigh, Shared, , , PINT) {5}
        })

        Method (LSTA, 1, NotSerialized)
        {
            If (Arg0 & 0x80)
            {
                Return (0x09)
            }

            Return (0x0B)
        }

        Method (LCRS, 1, Serialized)
        {
            CreateDWordField (PRSC, \_SB.PINT._INT, NUMB)
            NUMB = Zero
            If ((Arg0 & 0x80) == Zero)
            {
                NUMB = Arg0 & 0x0F
            }

            Return (PRSC)
        }

        Method (LSRS, 1, Serialized)
        {
            CreateDWordField (Arg0, 0x05, NUMB)
            Return (NUMB)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, One)
            Method (_PRS)
            {
                Return (PRSP)
            }
            Method (_STA)
            {
                Return (LSTA (\_SB.PCI0.ISA.PRQA))
            }
            Method (_DIS)
            {
                \_SB.PCI0.ISA.PRQA |= 0x80
            }
            Method (_CRS)
            {
                Return (LCRS (\_SB.PCI0.ISA.PRQA))
            }
            Method (_SRS, 1)
            {
                \_SB.PCI0.ISA.PRQA = LSRS (Arg0)
            }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Method (_PRS)
            {
                Return (PRSP)
            }
            Method (_STA)
            {
                Return (LSTA (\_SB.PCI0.ISA.PRQB))
            }
            Method (_DIS)
            {
                \_SB.PCI0.ISA.PRQB |= 0x80
            }
            Method (_CRS)
            {
                Return (LCRS (\_SB.PCI0.ISA.PRQB))
            }
            Method (_SRS, 1)
            {
                \_SB.PCI0.ISA.PRQB = LSRS (Arg0)
            }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Method (_PRS)
            {
                Return (PRSP)
            }
            Method (_STA)
            {
                Return (LSTA (\_SB.PCI0.ISA.PRQC))
            }
            Method (_DIS)
            {
                \_SB.PCI0.ISA.PRQC |= 0x80
            }
            Method (_CRS)
            {
                Return (LCRS (\_SB.PCI0.ISA.PRQC))
            }
            Method (_SRS, 1)
            {
                \_SB.PCI0.ISA.PRQC = LSRS (Arg0)
            }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Method (_PRS)
            {
                Return (PRSP)
            }
            Method (_STA)
            {
                Return (LSTA (\_SB.PCI0.ISA.PRQD))
            }
            Method (_DIS)
            {
                \_SB.PCI0.ISA.PRQD |= 0x80
            }
            Method (_CRS)
            {
                Return (LCRS (\_SB.PCI0.ISA.PRQD))
            }
            Method (_SRS, 1)
            {
                \_SB.PCI0.ISA.PRQD = LSRS (Arg0)
            }
        }
    }

    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PNEW ()
        }
    }
}
