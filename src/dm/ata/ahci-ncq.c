/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/ata/ata-drive.h"

void ata_ncq_error_log(const struct ata_drive *drive, uint8_t *data)
{
    memset(data, 0, ATA_SECTOR);
}
