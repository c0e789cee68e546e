/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load echo INTERFACE: sends each Ethernet frame of type 88B5h (for experiments) that comes in
 * there back to whom it came from. Prints "echoing", and goes on until it is killed.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "load.h"

enum {
    FRAME_TYPE = 0x88b5,
};

int load_echo(int argc, char **argv)
{
    int fd = socket(AF_PACKET, SOCK_DGRAM, htons(FRAME_TYPE));
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(FRAME_TYPE)};
    char data[2048];

    if (argc != 1 || !(address.sll_ifindex = (int)if_nametoindex(argv[0])) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        return failed("bind");
    }
    printf("echoing\n");
    for (;;) {
        socklen_t size = sizeof(address);
        ssize_t length = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&address, &size);

        if (length < 0) {
            return failed("receive");
        }
        if (address.sll_pkttype != PACKET_OUTGOING) {
            /* One that nobody can take is lost, as on any network. */
            (void)sendto(fd, data, (size_t)length, 0, (struct sockaddr *)&address, size);
        }
    }
}
