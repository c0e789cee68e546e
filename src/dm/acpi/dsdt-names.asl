/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a DSDT has at its root, of the boards with a chipset. */
    // acpi-tables.c sets these numbers; their size in the table is that of the placeholders. They are
    // not declared External, and set elsewhere, nor have they 64 bits, since firmware that reads
    // AML knows neither.
    Name (\M32B, 0x01234567) // first address of the 32-bit PCI window
    Name (\M64B, 0x01234567) // that of the 64-bit one in GiB; 0: there is none
    Name (\M64E, 0x01234567) // its end in GiB
    Name (\HPTE, 0x01234567) // the machine has an HPET
    Name (\SERM, 0x01234567) // bit n: it has serial port n

    // _STA of a device that may be missing.
    Method (PRES, 1, NotSerialized)
    {
        If (Arg0)
        {
            Return (0x0F)
        }

        Return (Zero)
    }
