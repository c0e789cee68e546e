/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Placeholder replaced below. */
int main(void) { return 0; }
