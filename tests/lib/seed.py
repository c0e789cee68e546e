# SPDX-License-Identifier: GPL-2.0-or-later
"""Where random tests begin: as tests/unit/seed.h, the same in each run, so that one tree has one verdict.

DUODM_TEST_SEED chooses another; tests/soak.py goes over many.
"""
import contextlib
import os
import random


def seed():
    return int(os.environ.get("DUODM_TEST_SEED", "20261126"), 0)


@contextlib.contextmanager
def seeded(test):
    """with seeded(self) as rng: a generator, whose seed is told with what fails."""
    with test.subTest(DUODM_TEST_SEED=seed()):
        yield random.Random(seed())
