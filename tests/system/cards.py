# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's full kernel with the drivers of emulated network cards, on tcg."""
import unittest

import network


class Card(network.Network):
    kind = "full"
    model = None

    def check(self, more=""):
        with self.guest("-nic", f"user,model={self.model},mac=00:16:3e:01:02:03") as vm:
            text = self.shell(vm, "ip link set eth0 up && udhcpc -n -q -i eth0 -s /lease && "
                                  "ip address show eth0 && ping -c 1 -s 1400 10.0.2.2" + more)
            self.assertIn("inet 10.0.2.15/24", text)
            self.assertIn("link/ether 00:16:3e:01:02:03", text)
            self.transfer_both_ways(vm, "10.0.2.2", "127.0.0.1")
            return text


class Rtl8139(Card):
    model = "rtl8139"
    modules = ["8139cp"]

    def test_lease_and_transfer(self):
        self.check()


class E1000(Card):
    model = "e1000"
    modules = ["e1000"]

    def test_lease_and_transfer(self):
        self.check()


del Card

if __name__ == "__main__":
    unittest.main()
