/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of board "microvm": hardware-reduced ACPI (ACPI 6.5, 4.1). The processors are in an SSDT,
 * which acpi-ssdt.c writes.
 */
DefinitionBlock ("", "DSDT", 2, "DUODM ", "DUODMMVM", 0x00000001)
{
    // acpi-microvm.c sets these numbers.
    Name (\VIRM, 0x01234567) // bit n: a device is in virtio-mmio slot n
    Name (\SERM, 0x01234567) // bit n: there is serial port n
    Name (\RTCM, 0x01234567) // bit 0: there is a real-time clock

    Name (\_S5, Package () {0x05, Zero, Zero, Zero})

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
        Device (PWRB)
        {
            Name (_HID, EisaId ("PNP0C0C"))
            Name (_UID, Zero)
        }

        // Events that are not the processor's: acpi-ged.c.
        Device (GED)
        {
            Name (_HID, "ACPI0013")
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {9}
            })
            OperationRegion (GREG, SystemMemory, 0xFEA00000, 0x04)
            Field (GREG, DWordAcc, NoLock, WriteAsZeros)
            {
                EVTS, 32
            }

            Method (_EVT, 1, Serialized)
            {
                Local0 = EVTS
                If (Local0 & One)
                {
                    Notify (PWRB, 0x80)
                }
            }
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Method (_STA)
            {
                Return (PRES (\RTCM))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                IRQNoFlags () {8}
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, One)
            Method (_STA)
            {
                Return (PRES (\SERM & One))
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

        Device (VR00)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 0)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x01))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00000, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {16}
            })
        }

        Device (VR01)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 1)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x02))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00200, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {17}
            })
        }

        Device (VR02)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 2)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x04))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00400, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {18}
            })
        }

        Device (VR03)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 3)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x08))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00600, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {19}
            })
        }

        Device (VR04)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 4)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x10))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00800, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {20}
            })
        }

        Device (VR05)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 5)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x20))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00A00, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {21}
            })
        }

        Device (VR06)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 6)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x40))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00C00, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {22}
            })
        }

        Device (VR07)
        {
            Name (_HID, "LNRO0005")
            Name (_UID, 7)
            Name (_CCA, One)
            Method (_STA)
            {
                Return (PRES (\VIRM & 0x80))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFEB00E00, 0x00000200)
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {23}
            })
        }
    }
}
