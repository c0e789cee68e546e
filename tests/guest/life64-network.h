/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * life64's network: over the first RTL8139 (Realtek's data sheet names the registers) it sends
 * frames to a peer that sends each back, as it came but for the addresses, and checks all that it
 * receives. What is lost is no error: a network may lose frames when a machine is saved. A frame
 * has its number in the first 4 bytes of its payload; length and contents follow from that.
 */
#ifndef DUODM_TESTS_GUEST_LIFE64_NETWORK_H
#define DUODM_TESTS_GUEST_LIFE64_NETWORK_H

#include "guest.h"

#define NIC_ID        0x813910ecu
#define NIC_BUFFERS   4u      /* that the chip has for sending */
#define RING_SIZE     0x2000u /* bytes that are received into, before it wraps */
#define HEADER_SIZE   14u     /* two addresses, a type */
#define PAYLOAD_WORDS 350u    /* at most */
#define FRAME_TYPE    0xb588u /* 88B5h, as it lies in memory: for experiments (IEEE 802) */
#define PATIENCE      50u     /* ticks without an answer: what is under way is taken for lost */

enum {
    NIC_SEND_STATUS = 0x10,
    NIC_SEND_ADDRESS = 0x20,
    NIC_RING = 0x30,
    NIC_COMMAND = 0x37,
    NIC_READ_POINTER = 0x38,
    NIC_RECEIVE_CONFIG = 0x44,
};

enum {
    COMMAND_EMPTY = 1,
    COMMAND_SEND = 4,
    COMMAND_RECEIVE = 8,
    COMMAND_RESET = 16,
    SEND_OWNED = 1 << 13, /* the chip is done with it */
    RECEIVE_OWN = 1 << 1, /* what is sent to this card */
    RECEIVE_WRAP = 1 << 7 /* a frame goes on behind the end of the ring */
};

struct nic {
    uint16_t ports; /* 0: there is none */
    uint8_t address[6];
    uint32_t read_at;   /* in the ring */
    uint32_t sent;      /* frames so far: the number of the next */
    uint32_t under_way; /* of them, without an answer yet */
    uint32_t heard_at;  /* ticks */
    uint32_t echoes;    /* answers so far */
};

static struct nic nic;
static uint8_t nic_ring[RING_SIZE + 2048] __attribute__((aligned(PAGE)));
static uint8_t nic_frames[NIC_BUFFERS][2048] __attribute__((aligned(PAGE)));

static uint32_t frame_word(uint32_t number, uint32_t i)
{
    uint32_t hash = number * 0x9e3779b1u ^ i * 0x85ebca6bu;

    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    return hash ^ hash >> 13;
}

/* Of a frame's payload. */
static uint32_t frame_words(uint32_t number)
{
    return 16 + frame_word(number, 0) % (PAYLOAD_WORDS - 16);
}

static void start_network(uint32_t function)
{
    if (!function) {
        return;
    }
    config_write(function | 4, config_read(function | 4) | 5);
    nic.ports = (uint16_t)(config_read(function | 0x10) & 0xff00);
    outb(nic.ports + NIC_COMMAND, COMMAND_RESET);
    while (inb(nic.ports + NIC_COMMAND) & COMMAND_RESET) {
        asm volatile("pause");
    }
    for (unsigned i = 0; i < 6; i++) {
        nic.address[i] = inb((uint16_t)(nic.ports + i));
    }
    outl(nic.ports + NIC_RING, (uint32_t)(uintptr_t)nic_ring);
    outb(nic.ports + NIC_COMMAND, COMMAND_SEND | COMMAND_RECEIVE);
    outl(nic.ports + NIC_RECEIVE_CONFIG, RECEIVE_OWN | RECEIVE_WRAP);
    nic.read_at = nic.under_way = 0;
    /* The chip's buffers begin with the first. */
    nic.sent = (nic.sent + NIC_BUFFERS - 1) & ~(NIC_BUFFERS - 1);
}

/* Where the bytes differ from what was sent as this number; the frame's length if nowhere. */
static unsigned find_difference(const uint8_t *payload, uint32_t number, unsigned words)
{
    for (unsigned i = 1; i < words; i++) {
        uint32_t word;

        __builtin_memcpy(&word, payload + (size_t)4 * i, 4);
        if (word != frame_word(number, i)) {
            return i;
        }
    }
    return words;
}

/* One frame, if there is one. Returns what is wrong with it, or NULL. */
static const char *receive_frame(uint32_t now)
{
    const uint8_t *header = nic_ring + nic.read_at;
    unsigned length = header[2] | header[3] << 8; /* with 4 bytes of checksum */
    const uint8_t *frame = header + 4, *payload = frame + HEADER_SIZE;
    const char *wrong = NULL;
    uint16_t type;
    uint32_t number;

    __builtin_memcpy(&type, frame + 12, 2);
    __builtin_memcpy(&number, payload, 4);
    if (!(header[0] & 1)) {
        wrong = "status of a frame";
    } else if (type == FRAME_TYPE) {
        if (number >= nic.sent || length != HEADER_SIZE + 4 * frame_words(number) + 4 ||
            find_difference(payload, number, frame_words(number)) != frame_words(number)) {
            wrong = "content of frame";
        }
        nic.echoes++;
        nic.heard_at = now;
        nic.under_way -= nic.under_way > 0;
    }
    nic.read_at = ((nic.read_at + 4 + length + 3) & ~3u) % RING_SIZE;
    asm volatile("outw %w0, %w1"
                 :
                 : "a"(nic.read_at - 16), "d"((uint16_t)(nic.ports + NIC_READ_POINTER)));
    return wrong;
}

static void send_frame(void)
{
    uint32_t number = nic.sent, words = frame_words(number);
    unsigned buffer = number % NIC_BUFFERS;
    uint16_t status = (uint16_t)(nic.ports + NIC_SEND_STATUS + 4 * buffer);
    uint8_t *frame = nic_frames[buffer];

    if (!(inl(status) & SEND_OWNED)) {
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        frame[i] = 0xff;
        frame[6 + i] = nic.address[i];
    }
    frame[12] = FRAME_TYPE & 0xff;
    frame[13] = FRAME_TYPE >> 8;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t word = i ? frame_word(number, i) : number;

        __builtin_memcpy(frame + HEADER_SIZE + (size_t)4 * i, &word, 4);
    }
    outl((uint16_t)(nic.ports + NIC_SEND_ADDRESS + 4 * buffer), (uint32_t)(uintptr_t)frame);
    outl(status, HEADER_SIZE + 4 * words);
    nic.sent++;
    nic.under_way++;
}

/* Take what came, send what may be sent. Returns what was wrong with a frame, or NULL. */
static const char *use_network(uint32_t now)
{
    if (!nic.ports) {
        return NULL;
    }
    while (!(inb(nic.ports + NIC_COMMAND) & COMMAND_EMPTY)) {
        const char *wrong = receive_frame(now);

        if (wrong) {
            return wrong;
        }
    }
    if (nic.under_way && now - nic.heard_at > PATIENCE) {
        nic.under_way = 0;
        nic.heard_at = now;
    }
    if (nic.under_way < NIC_BUFFERS) {
        send_frame();
    }
    return NULL;
}

#endif
