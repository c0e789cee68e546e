/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions of Xen's that xen-mock.c does not play: each fails. */
#include "../../src/backend-xen/xen-libraries.h"

#include <errno.h>

long xen_mock_missing(void);
long xen_mock_missing(void)
{
    errno = ENOSYS;
    return -1;
}

/* What the mock defines takes the place of a weak symbol. */
#define MISSING(name) __asm__(".weak " #name "\n\t.set " #name ", xen_mock_missing");
#define ALL(list)     list(MISSING)

ALL(XENCTRL_FUNCTIONS)
ALL(XENDEVICEMODEL_FUNCTIONS)
ALL(XENEVTCHN_FUNCTIONS)
ALL(XENFOREIGNMEMORY_FUNCTIONS)
ALL(XENSTORE_FUNCTIONS)
ALL(XENTOOLCORE_FUNCTIONS)
