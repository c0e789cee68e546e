/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-pm.h"
#include "dm/machine.h"
#include "util/log.h"

#define ACPI_XEN_S3_TYPE 1 /* SLP_TYP of S3 in the DSDT of Xen's hvmloader */

/* The timer counts 3.579545 MHz of the virtual clock, exactly: 128-bit products. */
static uint64_t ticks_at(uint64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * ACPI_PM_TIMER_HZ / NS_PER_SECOND);
}

/* First ns at which the timer has counted so far. */
static uint64_t ns_of_tick(uint64_t tick)
{
    unsigned __int128 product = (unsigned __int128)tick * NS_PER_SECOND;
    unsigned __int128 ns = (product + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ;

    return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX - 1;
}

static uint64_t ticks_now(const struct acpi_pm *pm)
{
    return ticks_at(machine_clock_now(pm->machine->clock));
}

/* TMR_STS is set whenever the most significant bit of the timer changes: 4.8.3.3. */
static uint64_t next_overflow(const struct acpi_pm *pm, uint64_t ticks)
{
    uint64_t half = 1ull << (pm->timer_bits - 1);

    return (ticks | (half - 1)) + 1;
}

static void notice_overflow(struct acpi_pm *pm)
{
    uint64_t ticks = ticks_now(pm);

    if (ticks >= pm->overflow_tick) {
        pm->pm1_status |= ACPI_PM1_TIMER;
        pm->overflow_tick = next_overflow(pm, ticks);
    }
}

void acpi_pm_update(struct acpi_pm *pm)
{
    bool pending;

    notice_overflow(pm);
    pending =
        (pm->pm1_status & pm->pm1_enable & ACPI_PM1_ENABLES) || (pm->gpe_status & pm->gpe_enable);
    /* With SCI_EN clear these events are firmware's, as SMIs, which this machine has none of. */
    irq_line_set(&pm->sci, pending && (pm->pm1_control & ACPI_PM1_SCI_ENABLE));
    if ((pm->pm1_enable & ACPI_PM1_TIMER) && !(pm->pm1_status & ACPI_PM1_TIMER)) {
        clock_timer_arm(&pm->overflow, ns_of_tick(pm->overflow_tick));
    } else {
        clock_timer_disarm(&pm->overflow);
    }
}

static void on_overflow(void *opaque)
{
    acpi_pm_update(opaque);
}

void acpi_pm_init(struct acpi_pm *pm, struct machine *machine, struct access_guard *guard)
{
    pm->machine = machine;
    pm->overflow_tick = next_overflow(pm, ticks_now(pm));
    clock_timer_init(&pm->overflow, machine->clock, on_overflow, pm, guard);
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
    clock_timer_destroy(&pm->overflow);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
    pm->pm1_status = pm->pm1_enable = pm->pm1_control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->overflow_tick = next_overflow(pm, ticks_now(pm));
    acpi_pm_update(pm);
}

uint16_t acpi_pm_read_status(struct acpi_pm *pm)
{
    notice_overflow(pm);
    return pm->pm1_status;
}

void acpi_pm_write_status(struct acpi_pm *pm, uint16_t value)
{
    notice_overflow(pm);
    pm->pm1_status &= (uint16_t)~value;
    acpi_pm_update(pm);
}

void acpi_pm_write_enable(struct acpi_pm *pm, uint16_t value)
{
    pm->pm1_enable = value & ACPI_PM1_ENABLES;
    acpi_pm_update(pm);
}

void acpi_pm_write_control(struct acpi_pm *pm, uint16_t value)
{
    unsigned type = (value & ACPI_PM1_SLEEP_TYPE) >> ACPI_PM1_SLEEP_SHIFT;

    pm->pm1_control = (uint16_t)((pm->pm1_control & ACPI_PM1_SCI_ENABLE) |
                                 (value & ~(ACPI_PM1_SCI_ENABLE | ACPI_PM1_SLEEP_ENABLE)));
    if (!(value & ACPI_PM1_SLEEP_ENABLE)) {
        return;
    }
    if (type == pm->s5_type) {
        machine_request_shutdown(pm->machine, SHUTDOWN_GUEST_SHUTDOWN);
    } else if (type == ACPI_XEN_S3_TYPE && pm->machine->engine->suspend) {
        pm->machine->engine->suspend(pm->machine);
    } else {
        log_item(LOG_UNIMPLEMENTED, "ACPI sleep type %u is not offered\n", type);
    }
}

uint32_t acpi_pm_read_timer(struct acpi_pm *pm)
{
    return (uint32_t)(ticks_now(pm) & (UINT64_MAX >> (64 - pm->timer_bits)));
}

void acpi_pm_write_gpe_status(struct acpi_pm *pm, uint16_t value)
{
    pm->gpe_status &= (uint16_t)~value;
    acpi_pm_update(pm);
}

void acpi_pm_write_gpe_enable(struct acpi_pm *pm, uint16_t value)
{
    pm->gpe_enable = value;
    acpi_pm_update(pm);
}

/* The block. */

enum block_register { BLOCK_EVENT = 0, BLOCK_CONTROL = 4, BLOCK_TIMER = 8 };

uint32_t acpi_pm_block_read(struct acpi_pm *pm, unsigned offset)
{
    switch (offset) {
    case BLOCK_EVENT:
        return acpi_pm_read_status(pm) | (uint32_t)pm->pm1_enable << 16;
    case BLOCK_CONTROL:
        return pm->pm1_control;
    default:
        return acpi_pm_read_timer(pm);
    }
}

static void write_status_and_enable(struct acpi_pm *pm, uint32_t mask, uint32_t value)
{
    /* Zeros written to status bits do nothing, so bytes outside the access are zeros there. */
    if (mask & 0xffff) {
        acpi_pm_write_status(pm, (uint16_t)(value & mask));
    }
    if (mask >> 16) {
        uint32_t enable = (uint32_t)pm->pm1_enable << 16;

        acpi_pm_write_enable(pm, (uint16_t)(((enable & ~mask) | (value & mask)) >> 16));
    }
}

void acpi_pm_block_write(struct acpi_pm *pm, unsigned offset, uint32_t mask, uint32_t value)
{
    if (offset == BLOCK_EVENT) {
        write_status_and_enable(pm, mask, value);
    } else if (offset == BLOCK_CONTROL && (mask & 0xffff)) {
        acpi_pm_write_control(pm, (uint16_t)((pm->pm1_control & ~mask) | (value & mask)));
    }
}

void acpi_pm_set_sci_enable(struct acpi_pm *pm, bool enable)
{
    pm->pm1_control =
        (uint16_t)((pm->pm1_control & ~ACPI_PM1_SCI_ENABLE) | (enable ? ACPI_PM1_SCI_ENABLE : 0));
    acpi_pm_update(pm);
}

void acpi_pm_press_power_button(struct acpi_pm *pm)
{
    pm->pm1_status |= ACPI_PM1_POWER_BUTTON;
    acpi_pm_update(pm);
}

void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned n)
{
    pm->gpe_status |= (uint16_t)(1u << n);
    acpi_pm_update(pm);
}
