/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In \_SB: what the interrupt links need. */
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
