# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net over tap: 64 MB each way, every byte compared."""
MACHINE = "kvm"
DEVICES = ["virtio-net-pci"]


def test_tap_64_megabytes_each_way(bed):
    bed.run("tunctl -t tap0 && ip address add 10.99.0.1/24 dev tap0 && ip link set tap0 up")
    with bed.guest("-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no",
                   "-device", "virtio-net-pci,netdev=net,mac=52:54:00:12:34:56", smp=2) as guest:
        guest.wait_up()
        assert guest.run("cat /sys/class/net/eth0/address")[1] == "52:54:00:12:34:56\n"
        guest.run("ip address add 10.99.0.2/24 dev eth0 && ip link set eth0 up")
        guest.run("ping -c 3 10.99.0.1")
        server = bed.agent.spawn("load", "stream", "serve", "5000", "64")
        server.expect("listening")
        sent = guest.run("load", "stream", "connect", "10.99.0.1", "5000", "64")[1]
        assert sent == "sent 64 MB\nreceived 64 MB\n", sent
        assert server.wait() == 0, server.buffer
    bed.run("tunctl -d tap0")
