/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people and libxl may ask for by its well-known name, and duodm does not have. */
#ifndef DUODM_DM_ABSENT_H
#define DUODM_DM_ABSENT_H

/* What to do instead, for an error's end: "; there is no sound..."; "" for names that nobody knows.
 * Constant. */
const char *absent_device_advice(const char *driver);
const char *absent_option_advice(const char *option); /* without its dash */
const char *absent_machine_property_advice(const char *name);

#endif
