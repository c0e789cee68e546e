/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O ports as instructions use them: permission, breakpoints, then the bus. */
#ifndef DUODM_TCG_PORT_H
#define DUODM_TCG_PORT_H

#include "tcg/cpu.h"

/* #GP(0) unless CPL <= IOPL or the TSS's I/O permission bitmap allows all bytes (SDM vol. 1,
 * 19.5.2); in v86 mode the bitmap alone decides. */
void port_check(struct cpu *cpu, uint16_t port, unsigned size);
/* size: 1, 2 or 4. */
uint32_t port_read(struct cpu *cpu, uint16_t port, unsigned size);
void port_write(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value);

#endif
