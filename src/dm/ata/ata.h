/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, commands and packet commands of ATA drives. Numbers are those of ATA8-ACS (T13/1699D),
 * ATA/ATAPI-6 (T13/1410D) where a command is obsolete since, and MMC-5 (T10/1675D). */
#ifndef DUODM_DM_ATA_ATA_H
#define DUODM_DM_ATA_ATA_H

#define ATA_SECTOR    512u  /* bytes */
#define ATAPI_SECTOR  2048u /* bytes of a CD's data sector */
#define ATAPI_CDB_MAX 16u   /* bytes of a command packet; 12 are what drives of this kind take */
#define ATAPI_CDB     12u

/* Status register: ATA/ATAPI-6, 7.15. */
#define ATA_STATUS_BSY  0x80u
#define ATA_STATUS_DRDY 0x40u
#define ATA_STATUS_DF   0x20u
#define ATA_STATUS_DSC  0x10u /* seek complete; packet commands: service */
#define ATA_STATUS_DRQ  0x08u
#define ATA_STATUS_ERR  0x01u

/* Error register: 7.6. */
#define ATA_ERROR_ICRC 0x80u
#define ATA_ERROR_UNC  0x40u
#define ATA_ERROR_IDNF 0x10u
#define ATA_ERROR_ABRT 0x04u

/* Device register: 7.5. */
#define ATA_DEVICE_LBA  0x40u
#define ATA_DEVICE_DEV  0x10u /* device 1 */
#define ATA_DEVICE_HEAD 0x0fu
#define ATA_DEVICE_FUA  0x80u /* of queued writes */
#define ATA_DEVICE_OBS  0xa0u /* obsolete, read as ones */

/* Device control register: 7.4. */
#define ATA_CONTROL_HOB  0x80u
#define ATA_CONTROL_SRST 0x04u
#define ATA_CONTROL_NIEN 0x02u

/* Interrupt reason (the count register of packet commands): 7.9. */
#define ATAPI_REASON_CD 0x01u /* command packet, not data */
#define ATAPI_REASON_IO 0x02u /* to the host */

/* Signatures in the LBA mid and high registers: 9.12. */
#define ATAPI_SIGNATURE_MID  0x14u
#define ATAPI_SIGNATURE_HIGH 0xebu

/* Commands. */
#define ATA_NOP                   0x00u
#define ATA_DATA_SET_MANAGEMENT   0x06u
#define ATA_DEVICE_RESET          0x08u
#define ATA_RECALIBRATE           0x10u /* to 1fh */
#define ATA_READ_SECTORS          0x20u
#define ATA_READ_SECTORS_OLD      0x21u
#define ATA_READ_SECTORS_EXT      0x24u
#define ATA_READ_DMA_EXT          0x25u
#define ATA_READ_NATIVE_MAX_EXT   0x27u
#define ATA_READ_MULTIPLE_EXT     0x29u
#define ATA_READ_LOG_EXT          0x2fu
#define ATA_WRITE_SECTORS         0x30u
#define ATA_WRITE_SECTORS_OLD     0x31u
#define ATA_WRITE_SECTORS_EXT     0x34u
#define ATA_WRITE_DMA_EXT         0x35u
#define ATA_WRITE_MULTIPLE_EXT    0x39u
#define ATA_WRITE_VERIFY          0x3cu
#define ATA_WRITE_DMA_FUA_EXT     0x3du
#define ATA_READ_VERIFY           0x40u
#define ATA_READ_VERIFY_OLD       0x41u
#define ATA_READ_VERIFY_EXT       0x42u
#define ATA_READ_FPDMA_QUEUED     0x60u
#define ATA_WRITE_FPDMA_QUEUED    0x61u
#define ATA_SEEK                  0x70u /* to 7fh */
#define ATA_DIAGNOSTIC            0x90u
#define ATA_INITIALIZE_PARAMETERS 0x91u
#define ATA_STANDBY_IMMEDIATE_OLD 0x94u
#define ATA_IDLE_IMMEDIATE_OLD    0x95u
#define ATA_STANDBY_OLD           0x96u
#define ATA_IDLE_OLD              0x97u
#define ATA_CHECK_POWER_OLD       0x98u
#define ATA_SLEEP_OLD             0x99u
#define ATA_PACKET                0xa0u
#define ATA_IDENTIFY_PACKET       0xa1u
#define ATA_READ_MULTIPLE         0xc4u
#define ATA_WRITE_MULTIPLE        0xc5u
#define ATA_SET_MULTIPLE          0xc6u
#define ATA_READ_DMA              0xc8u
#define ATA_READ_DMA_OLD          0xc9u
#define ATA_WRITE_DMA             0xcau
#define ATA_WRITE_DMA_OLD         0xcbu
#define ATA_WRITE_MULTIPLE_FUA    0xceu
#define ATA_STANDBY_IMMEDIATE     0xe0u
#define ATA_IDLE_IMMEDIATE        0xe1u
#define ATA_STANDBY               0xe2u
#define ATA_IDLE_TIMER            0xe3u
#define ATA_CHECK_POWER           0xe5u
#define ATA_SLEEP                 0xe6u
#define ATA_FLUSH_CACHE           0xe7u
#define ATA_FLUSH_CACHE_EXT       0xeau
#define ATA_IDENTIFY              0xecu
#define ATA_SET_FEATURES          0xefu
#define ATA_READ_NATIVE_MAX       0xf8u

#define ATA_DSM_TRIM 0x01u /* feature of DATA SET MANAGEMENT */

/* Subcommands of SET FEATURES: ATA8-ACS, 7.45. */
#define ATA_FEATURE_CACHE_ON       0x02u
#define ATA_FEATURE_TRANSFER_MODE  0x03u
#define ATA_FEATURE_LOOK_AHEAD_OFF 0x55u
#define ATA_FEATURE_DEFAULTS_OFF   0x66u
#define ATA_FEATURE_CACHE_OFF      0x82u
#define ATA_FEATURE_LOOK_AHEAD_ON  0xaau
#define ATA_FEATURE_DEFAULTS_ON    0xccu

/* Packet commands: SPC-3, MMC-5. */
#define CDB_TEST_UNIT_READY        0x00u
#define CDB_REQUEST_SENSE          0x03u
#define CDB_INQUIRY                0x12u
#define CDB_MODE_SELECT_6          0x15u
#define CDB_MODE_SENSE_6           0x1au
#define CDB_START_STOP_UNIT        0x1bu
#define CDB_PREVENT_REMOVAL        0x1eu
#define CDB_READ_FORMAT_CAPACITIES 0x23u
#define CDB_READ_CAPACITY          0x25u
#define CDB_READ_10                0x28u
#define CDB_SEEK_10                0x2bu
#define CDB_SYNCHRONIZE_CACHE      0x35u
#define CDB_READ_SUBCHANNEL        0x42u
#define CDB_READ_TOC               0x43u
#define CDB_GET_CONFIGURATION      0x46u
#define CDB_GET_EVENT_STATUS       0x4au
#define CDB_READ_DISC_INFORMATION  0x51u
#define CDB_READ_TRACK_INFORMATION 0x52u
#define CDB_MODE_SELECT_10         0x55u
#define CDB_MODE_SENSE_10          0x5au
#define CDB_READ_12                0xa8u
#define CDB_READ_DVD_STRUCTURE     0xadu
#define CDB_SET_CD_SPEED           0xbbu
#define CDB_MECHANISM_STATUS       0xbdu
#define CDB_READ_CD                0xbeu

/* Sense keys, and additional sense codes with their qualifiers: SPC-3, 4.5.6, annex D. */
#define SENSE_NONE            0x0u
#define SENSE_NOT_READY       0x2u
#define SENSE_MEDIUM_ERROR    0x3u
#define SENSE_ILLEGAL_REQUEST 0x5u
#define SENSE_UNIT_ATTENTION  0x6u
#define SENSE_ABORTED         0xbu

#define ASC_NONE                    0x0000u
#define ASC_READ_ERROR              0x1100u
#define ASC_INVALID_OPCODE          0x2000u
#define ASC_LBA_OUT_OF_RANGE        0x2100u
#define ASC_INVALID_FIELD           0x2400u
#define ASC_MEDIUM_MAY_HAVE_CHANGED 0x2800u
#define ASC_RESET_OCCURRED          0x2900u
#define ASC_SAVING_NOT_SUPPORTED    0x3900u
#define ASC_NO_MEDIUM_TRAY_CLOSED   0x3a01u
#define ASC_NO_MEDIUM_TRAY_OPEN     0x3a02u
#define ASC_REMOVAL_PREVENTED       0x5302u
#define ASC_ILLEGAL_MODE_FOR_TRACK  0x6400u

#endif
