/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATA disk or an ATAPI CD drive, as its controller sees it: a register file, a buffer for
 * programmed I/O, and the course of one command:
 *
 *     ata_command -> (pio_block -> ata_pio_taken)... | dma_wanted -> ata_dma_run -> ... -> ended
 *
 * Whatever touches the registers does so inside the controller's guard; the image is used in the
 * main loop. A vCPU therefore only notes what is to be done, and never waits for a disk.
 */
#ifndef DUODM_DM_ATA_ATA_DRIVE_H
#define DUODM_DM_ATA_ATA_DRIVE_H

#include "dm/ata/ata-bus.h"
#include "dm/ata/ata.h"
#include "dm/block/block.h"
#include "dm/block/removable.h"
#include "dm/task-queue.h"

#define ATA_BUFFER_SIZE  8192u /* bytes; the largest block of programmed I/O */
#define ATA_MULTIPLE_MAX (ATA_BUFFER_SIZE / ATA_SECTOR)
#define ATA_NCQ_DEPTH    32
#define ATA_UNIT_ANY     UINT32_MAX
#define ATA_DMA_PART     (1u << 20) /* bytes of one request to the image */

/* The register file. Each write of a parameter pushes the previous content into its `high` half,
 * which 48-bit commands use: ATA/ATAPI-6, 6.20. */
struct ata_registers {
    uint8_t features, count, lba_low, lba_mid, lba_high;
    uint8_t features_high, count_high, lba_low_high, lba_mid_high, lba_high_high;
    uint8_t device, command, control, status, error;
};

enum ata_phase {
    ATA_IDLE,    /* no command */
    ATA_WORK,    /* BSY: a request to the image is to be made, or under way */
    ATA_PIO_IN,  /* DRQ: the host takes buffer[position .. block_end) */
    ATA_PIO_OUT, /* DRQ: the host fills it */
    ATA_DMA,     /* waits until the host is ready for DMA */
};

enum ata_transfer_mode { ATA_MODE_NONE, ATA_MODE_PIO, ATA_MODE_DMA };

/* What happens when all data was moved. */
enum ata_transfer_end {
    ATA_END_COMMAND, /* nothing more */
    ATA_END_PACKET,  /* what came is a command packet: run it */
    ATA_END_TRIM,    /* what came are ranges: discard them */
};

/* The data transfer of the command under way. Holds all that is needed to go on with it. */
struct ata_transfer {
    uint8_t mode, end; /* the enums above */
    bool has_image;    /* data come from or go to the image; false: the buffer is all there is */
    uint8_t operation; /* enum block_operation, if has_image */
    bool to_host, fua;
    bool by_block;       /* reads ahead failed: ask for no more than the host takes at once */
    uint16_t block_size; /* of programmed I/O, bytes */
    uint64_t offset;     /* where in the image the transfer begins, bytes */
    uint64_t length,
        done; /* bytes; done: those that the image has seen, or the host for a buffer */
};

/* What a CD drive has besides. */
struct atapi_state {
    uint8_t cdb[ATAPI_CDB_MAX];
    uint8_t sense_key;
    uint16_t sense_code;
    bool tray_open, locked;
    bool attention_reset, attention_medium; /* to be reported before the next command */
    uint8_t medium_event; /* for GET EVENT STATUS NOTIFICATION, MMC-5, table 244 */
    bool dma;             /* the present packet's data go by DMA */
    uint16_t byte_limit;  /* of one block of programmed I/O */
};

/* One queued command (NCQ), made when its tag is first used. */
struct ata_queued {
    struct block_request request; /* first */
    struct ata_drive *drive;
    struct ata_queued *next; /* to be submitted */
    uint8_t tag;
    bool active;    /* a command of the guest's */
    bool in_flight; /* request is with the image */
    bool waits;     /* in the list of those to be submitted */
    bool is_write, fua;
    uint64_t offset, length, done; /* bytes; done before the request under way */
    struct ata_sg sg;
};

struct ata_drive {
    struct device device;
    /* Properties. */
    char *drive, *serial, *model, *version, *werror, *rerror;
    uint32_t unit;
    int32_t boot_index;
    uint64_t wwn;
    bool write_cache_default, share_rw;

    bool is_packet; /* a CD drive */
    struct ata_registers regs;
    uint8_t phase; /* enum ata_phase */
    struct ata_transfer transfer;
    uint8_t buffer[ATA_BUFFER_SIZE];
    uint32_t position, block_end, buffer_end; /* in buffer: of the host, its block, what is valid */
    uint8_t multiple;                         /* sectors per block of READ and WRITE MULTIPLE */
    uint8_t heads, sectors;                   /* as INITIALIZE DEVICE PARAMETERS set them */
    uint8_t transfer_mode;                    /* of SET FEATURES; 0: none was set */
    uint8_t power;                            /* what CHECK POWER MODE tells */
    bool write_cache, look_ahead;
    bool signature_pending; /* reset begun: ends when nothing is in flight */
    struct atapi_state packet;

    /* The image. Main loop, but for what the guard protects. */
    struct block_backend *backend; /* NULL: no medium */
    struct block_user user;
    struct block_queue *queue;
    struct block_error_policies policies;
    struct block_removable removable;
    struct block_request request;
    struct iovec buffer_iov;
    struct ata_sg sg;
    struct io_task submit_task, tray_task;
    bool in_flight;   /* request is with the image */
    bool must_submit; /* request is to be made */
    bool stopped;     /* the machine stands: nothing is submitted */
    bool unplugged;   /* no guest sees it any more */

    struct ata_queued *queued[ATA_NCQ_DEPTH]; /* by tag; NULL: never used */
    struct ata_queued *submit_first, **submit_last;
    unsigned queued_in_flight; /* how many requests of them are with the image */
    bool queued_failed;        /* one did, of which the log tells */
    uint8_t failed_tag, failed_error;
    uint64_t failed_sector;
};

static inline struct ata_bus *ata_drive_bus(const struct ata_drive *drive)
{
    return (struct ata_bus *)drive->device.bus;
}

/* ---- For controllers ---- */

/* Run the command whose code is in the register file. */
void ata_command(struct ata_drive *drive);
/* position has reached block_end. */
void ata_pio_taken(struct ata_drive *drive);
/* Phase is ATA_DMA, and the guest's memory is known. */
void ata_dma_run(struct ata_drive *drive);
/* Software reset, or power on. Ends at once, or when what is in flight has ended; then reset_ended
 * is called. */
void ata_drive_begin_reset(struct ata_drive *drive, bool is_hard);
/* Is a request with the image, or to be made? */
bool ata_drive_is_working(const struct ata_drive *drive);
/* Give up the command under way as far as that goes: what is in flight ends without effect. */
void ata_drive_abandon(struct ata_drive *drive);

/* ata-queued.c: begin the queued command that the register file holds. False: it is none that can
 * be; an error register's bits are in *error. */
bool ata_queued_command(struct ata_drive *drive, uint8_t *error);
/* Is a command with that tag under way? */
bool ata_queued_is_active(const struct ata_drive *drive, unsigned tag);

/* ---- Between the files of dm/ata/ ---- */

/* ata-queued.c. take: those to be submitted, each with its request filled in; in the guard. */
struct ata_queued *ata_queued_take(struct ata_drive *drive);
void ata_queued_abandon(struct ata_drive *drive);
void ata_queued_batch_end(void *drive); /* of block_queue_handler; main loop */
/* The log page of the queued command that failed, 512 bytes: ATA8-ACS, A.14. */
void ata_queued_error_log(struct ata_drive *drive, uint8_t *data);
/* A request has ended, of a drive that was reset or given up meanwhile: go on if it was the last.
 */
void ata_drive_settle(struct ata_drive *drive);

/* ata-request.c: make the request of the present transfer, soon. */
void ata_work(struct ata_drive *drive);
void ata_submit(void *opaque); /* task of the main loop */
void ata_request_complete(struct block_request *request, int result);
/* Wait, in the main loop, until nothing is in flight. */
void ata_drain(struct ata_drive *drive);

/* ata-transfer.c */
void ata_transfer_start(struct ata_drive *drive);
/* The image has done a part of it. */
void ata_transfer_part_done(struct ata_drive *drive);
/* End the command: with the status of success, or with an error register's bits. */
void ata_succeed(struct ata_drive *drive);
void ata_fail(struct ata_drive *drive, uint8_t error);

/* ata-command.c */
void ata_next_trim(struct ata_drive *drive);
void ata_set_defaults(struct ata_drive *drive);
/* The 48-bit address of the register file. */
uint64_t ata_lba48(const struct ata_registers *regs);
/* Sectors of the image. */
uint64_t ata_capacity(const struct ata_drive *drive);

/* ata-identify.c: 512 bytes. */
void ata_identify(const struct ata_drive *drive, uint8_t *data);
void atapi_identify(const struct ata_drive *drive, uint8_t *data);

/* atapi.c */
void atapi_begin(struct ata_drive *drive); /* PACKET: ask for the command packet */
void atapi_run(struct ata_drive *drive);   /* it is in the buffer */
void atapi_fail(struct ata_drive *drive, uint8_t key, uint16_t code);
void atapi_reset(struct ata_drive *drive);
/* Answer with `length` bytes of the buffer, of which the host wants at most `allocation`. */
void atapi_reply(struct ata_drive *drive, uint32_t length, uint32_t allocation);

/* ata-medium.c. move: by the guest, or a person. */
void ata_move_tray(struct ata_drive *drive, bool open);
bool ata_attach_image(struct ata_drive *drive, struct block_backend *backend, GError **error);
void ata_detach_image(struct ata_drive *drive);
/* drive_name: of -drive; NULL: none. */
void ata_offer_medium(struct ata_drive *drive, const char *drive_name);
void ata_withdraw_medium(struct ata_drive *drive);

extern const struct device_class ide_hd_class, ide_cd_class;

#endif
