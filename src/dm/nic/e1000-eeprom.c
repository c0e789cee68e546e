/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The EEPROM of the 82540EM: 5.2 to 5.6, and the two ways to it, EECD and EERD. */
#include "dm/nic/e1000.h"

/* EECD, 13.4.3. */
#define EECD_SK      0x001u
#define EECD_CS      0x002u
#define EECD_DI      0x004u
#define EECD_DO      0x008u
#define EECD_FWE     0x030u /* flash write enable */
#define EECD_REQUEST 0x040u
#define EECD_GRANT   0x080u
#define EECD_PRESENT 0x100u

/* EERD, 13.4.4. */
#define EERD_START 0x01u
#define EERD_DONE  0x10u

#define WORD_CHECKSUM 0x3f
#define CHECKSUM      0xbaba /* of words 0 to 3Fh: 5.6.35 */

void e1000_write_eeprom(struct e1000 *nic)
{
    uint16_t *words = nic->card.eeprom.words, sum = 0;
    const uint8_t *mac = nic->card.nic.mac;
    static const struct {
        uint8_t word;
        uint16_t value;
    } contents[] = {
        {0x05, 0xffff}, {0x06, 0xffff}, {0x07, 0xffff}, /* the vendor's */
        {0x0a, 0x4003},                                 /* it is valid; IDs are taken from here */
        {0x0b, 0x1100}, {0x0c, 0x1af4}, {0x0d, 0x100e}, {0x0e, 0x8086}, /* IDs */
        {0x0f, 0x3040},                                                 /* auto-negotiation */
        {0x2f, 0x0602},                                                 /* LEDs */
    };

    for (unsigned i = 0; i < 3; i++) {
        words[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(contents); i++) {
        words[contents[i].word] = contents[i].value;
    }
    for (unsigned i = 0; i < WORD_CHECKSUM; i++) {
        sum = (uint16_t)(sum + words[i]);
    }
    words[WORD_CHECKSUM] = (uint16_t)(CHECKSUM - sum);
}

uint32_t e1000_eeprom_control_read(struct e1000 *nic)
{
    uint32_t value = e1000_get(nic, EECD);

    return value | EECD_PRESENT | (value & EECD_REQUEST ? EECD_GRANT : 0);
}

void e1000_eeprom_control_written(struct e1000 *nic, uint32_t value)
{
    bool output =
        microwire_drive(&nic->card.eeprom, value & EECD_CS, value & EECD_SK, value & EECD_DI);

    *e1000_at(nic, EECD) =
        (value & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQUEST)) | (output ? EECD_DO : 0);
}

void e1000_eeprom_read_written(struct e1000 *nic, uint32_t value)
{
    unsigned address = value >> 8 & 0xff;
    uint32_t word = address < MICROWIRE_WORDS ? nic->card.eeprom.words[address] : 0;

    *e1000_at(nic, EERD) =
        value & EERD_START ? word << 16 | address << 8 | EERD_DONE : value & ~EERD_DONE;
}
