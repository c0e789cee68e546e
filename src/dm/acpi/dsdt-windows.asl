/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In the host bridge: what addresses it passes on. */
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
