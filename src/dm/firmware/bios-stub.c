/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/bios-stub.h"
#include "dm/boot/e820.h"
#include "util/little-endian.h"

/* Offsets in the segment. POST, timer and the bare IRET are where they have been since the PC. */
#define OFFSET_POST        0xe05b
#define OFFSET_MASTER_EOI  0xe100
#define OFFSET_SLAVE_EOI   0xe110
#define OFFSET_KEYBOARD    0xe120
#define OFFSET_EQUIPMENT   0xe130
#define OFFSET_MEMORY_SIZE 0xe140
#define OFFSET_UNSUPPORTED 0xe150
#define OFFSET_TIMER       0xfea5
#define OFFSET_IRET        0xff53
#define OFFSET_RESET       0xfff0
#define OFFSET_DATE        0xfff5
#define OFFSET_MODEL       0xfffe

#define VECTOR_TIMER       0x08
#define VECTOR_KEYBOARD    0x09
#define VECTOR_EQUIPMENT   0x11
#define VECTOR_MEMORY_SIZE 0x12
#define VECTOR_SYSTEM      0x15
#define VECTOR_SLAVE       0x70

/* Where the reset vector leads. A processor that INIT sends here goes where CMOS 0Fh says: 5 and
 * 0Ah, through the far pointer at 40:67. Else the whole machine is reset, and the kernel is loaded
 * anew. */
static const uint8_t code_post[] = {
    0xfa,                   /* cli */
    0xb0, 0x8f,             /* mov  al, 8fh */
    0xe6, 0x70,             /* out  70h, al */
    0xe4, 0x71,             /* in   al, 71h */
    0x88, 0xc4,             /* mov  ah, al */
    0xb0, 0x0f,             /* mov  al, 0fh */
    0xe6, 0x70,             /* out  70h, al */
    0xb0, 0x00,             /* mov  al, 0 */
    0xe6, 0x71,             /* out  71h, al */
    0x80, 0xfc, 0x0a,       /* cmp  ah, 0ah */
    0x74, 0x0b,             /* je   warm */
    0x80, 0xfc, 0x05,       /* cmp  ah, 5 */
    0x75, 0x0e,             /* jne  cold */
    0xb0, 0x20,             /* mov  al, 20h */
    0xe6, 0xa0,             /* out  a0h, al */
    0xe6, 0x20,             /* out  20h, al */
    0x31, 0xc0,             /* warm: xor ax, ax */
    0x8e, 0xd8,             /* mov  ds, ax */
    0xff, 0x2e, 0x67, 0x04, /* jmp  far [0467h] */
    0xba, 0xf9, 0x0c,       /* cold: mov dx, 0cf9h */
    0xb0, 0x06,             /* mov  al, 6 */
    0xee,                   /* out  dx, al */
    0xf4,                   /* halt: hlt */
    0xeb, 0xfd,             /* jmp  halt */
};

static const uint8_t code_master_eoi[] = {
    0x50,       /* push ax */
    0xb0, 0x20, /* mov  al, 20h */
    0xe6, 0x20, /* out  20h, al */
    0x58,       /* pop  ax */
    0xcf,       /* iret */
};

static const uint8_t code_slave_eoi[] = {
    0x50,       /* push ax */
    0xb0, 0x20, /* mov  al, 20h */
    0xe6, 0xa0, /* out  a0h, al */
    0xe6, 0x20, /* out  20h, al */
    0x58,       /* pop  ax */
    0xcf,       /* iret */
};

/* The byte is taken, so that the controller can send the next. */
static const uint8_t code_keyboard[] = {
    0x50,       /* push ax */
    0xe4, 0x60, /* in   al, 60h */
    0xb0, 0x20, /* mov  al, 20h */
    0xe6, 0x20, /* out  20h, al */
    0x58,       /* pop  ax */
    0xcf,       /* iret */
};

/* Count the tick, call the user's vector 1Ch, end the interrupt. */
static const uint8_t code_timer[] = {
    0x50,                         /* push ax */
    0x1e,                         /* push ds */
    0x31, 0xc0,                   /* xor  ax, ax */
    0x8e, 0xd8,                   /* mov  ds, ax */
    0x66, 0xff, 0x06, 0x6c, 0x04, /* inc  dword [046ch] */
    0xcd, 0x1c,                   /* int  1ch */
    0xb0, 0x20,                   /* mov  al, 20h */
    0xe6, 0x20,                   /* out  20h, al */
    0x1f,                         /* pop  ds */
    0x58,                         /* pop  ax */
    0xcf,                         /* iret */
};

static const uint8_t code_equipment[] = {
    0x1e,             /* push ds */
    0x31, 0xc0,       /* xor  ax, ax */
    0x8e, 0xd8,       /* mov  ds, ax */
    0xa1, 0x10, 0x04, /* mov  ax, [0410h] */
    0x1f,             /* pop  ds */
    0xcf,             /* iret */
};

static const uint8_t code_memory_size[] = {
    0x1e,             /* push ds */
    0x31, 0xc0,       /* xor  ax, ax */
    0x8e, 0xd8,       /* mov  ds, ax */
    0xa1, 0x13, 0x04, /* mov  ax, [0413h] */
    0x1f,             /* pop  ds */
    0xcf,             /* iret */
};

/* INT 15h: "no such function", AH = 86h and carry set, as the caller's flags have it. */
static const uint8_t code_unsupported[] = {
    0xb4, 0x86,       /* mov  ah, 86h */
    0xf9,             /* stc */
    0xca, 0x02, 0x00, /* retf 2 */
};

static const uint8_t code_iret[] = {0xcf};

/* jmp far f000:e05b */
static const uint8_t code_reset[] = {0xea, 0x5b, 0xe0, 0x00, 0xf0};

static const struct {
    uint16_t offset;
    const uint8_t *code;
    uint16_t size;
} pieces[] = {
    {OFFSET_POST, code_post, sizeof(code_post)},
    {OFFSET_MASTER_EOI, code_master_eoi, sizeof(code_master_eoi)},
    {OFFSET_SLAVE_EOI, code_slave_eoi, sizeof(code_slave_eoi)},
    {OFFSET_KEYBOARD, code_keyboard, sizeof(code_keyboard)},
    {OFFSET_EQUIPMENT, code_equipment, sizeof(code_equipment)},
    {OFFSET_MEMORY_SIZE, code_memory_size, sizeof(code_memory_size)},
    {OFFSET_UNSUPPORTED, code_unsupported, sizeof(code_unsupported)},
    {OFFSET_TIMER, code_timer, sizeof(code_timer)},
    {OFFSET_IRET, code_iret, sizeof(code_iret)},
    {OFFSET_RESET, code_reset, sizeof(code_reset)},
};

void bios_stub_make_segment(uint8_t *segment)
{
    memset(segment, 0, BIOS_STUB_SIZE);
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        memcpy(segment + pieces[i].offset, pieces[i].code, pieces[i].size);
    }
    memcpy(segment + OFFSET_DATE, "11/22/26", 8);
    segment[OFFSET_MODEL] = 0xfc; /* PC AT */
}

static void set_vector(uint8_t *memory, unsigned vector, uint16_t offset)
{
    store_le16(memory + vector * 4, offset);
    store_le16(memory + vector * 4 + 2, BIOS_STUB_ADDRESS >> 4);
}

static void set_vectors(uint8_t *memory)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        set_vector(memory, vector, OFFSET_IRET);
    }
    for (unsigned line = 0; line < 8; line++) {
        set_vector(memory, VECTOR_TIMER + line, OFFSET_MASTER_EOI);
        set_vector(memory, VECTOR_SLAVE + line, OFFSET_SLAVE_EOI);
    }
    set_vector(memory, VECTOR_TIMER, OFFSET_TIMER);
    set_vector(memory, VECTOR_KEYBOARD, OFFSET_KEYBOARD);
    set_vector(memory, VECTOR_EQUIPMENT, OFFSET_EQUIPMENT);
    set_vector(memory, VECTOR_MEMORY_SIZE, OFFSET_MEMORY_SIZE);
    set_vector(memory, VECTOR_SYSTEM, OFFSET_UNSUPPORTED);
}

/* The BIOS data area at 400h, as IBM's technical reference lays it out. */
static void set_data_area(uint8_t *area, unsigned serial_mask, uint8_t equipment, uint32_t ticks)
{
    static const uint16_t serial_ports[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    unsigned serials = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (serial_mask >> i & 1) {
            store_le16(area + 2 * serials++, serial_ports[i]);
        }
    }
    store_le16(area + 0x0e, E820_LOW_RAM_END >> 4); /* segment of the extended data area */
    store_le16(area + 0x10, (uint16_t)(equipment | serials << 9));
    store_le16(area + 0x13, E820_LOW_RAM_END / 1024); /* KiB of conventional memory */
    store_le16(area + 0x1a, 0x1e);                    /* keyboard buffer: empty */
    store_le16(area + 0x1c, 0x1e);
    store_le32(area + 0x6c, ticks);
    memset(area + 0x7c, 0x0a, 4); /* serial timeouts */
    store_le16(area + 0x80, 0x1e);
    store_le16(area + 0x82, 0x3e);
    area[0x96] = 0x10; /* keyboard with 101 keys */
}

void bios_stub_make_low_memory(uint8_t *memory, unsigned serial_mask, uint8_t equipment,
                               uint32_t ticks)
{
    memset(memory, 0, BIOS_STUB_LOW_SIZE);
    set_vectors(memory);
    set_data_area(memory + 0x400, serial_mask, equipment, ticks);
}
