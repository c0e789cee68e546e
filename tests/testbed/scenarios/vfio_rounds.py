# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred rounds (or --repeat) of hotplug behind VT-d: edu and nvme, under load, with restarts."""
from harness.vfio_rounds import Rounds

MACHINE = "vfio"
DEVICES = ["vfio-pci", "intel-iommu"]
IN_CI = False  # minutes
COUNT = 100
TEST_LIMIT = 1200


def test_hundred(bed):
    Rounds(bed, smp=2).run(bed.options.repeat if bed.options.repeat > 3 else COUNT)
