#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Make ./configure. Needed once after a clone, and after configure.ac or Makefile.am changed.
set -e
cd "$(dirname "$0")"
if ! command -v autoreconf >/dev/null; then
    echo "autogen.sh: autoreconf is missing: install Debian's autoconf and automake" >&2
    exit 1
fi
exec autoreconf --install --force --warnings=all
