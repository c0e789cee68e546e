/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the host bridge: slots, ALL_SLOTS of the board, and the news of them. */
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
