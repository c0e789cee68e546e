/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load stream serve PORT MEGABYTES | load stream connect ADDRESS PORT MEGABYTES: over one TCP
 * connection, the caller sends that much and then receives as much. Each side compares every byte
 * with what the other must have sent. Prints "listening", "received N MB", "sent N MB".
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum {
    CHUNK = 65536,
};

static int send_all(int fd, uint64_t total, uint64_t seed)
{
    char data[CHUNK];
    for (uint64_t sent = 0; sent < total; sent += CHUNK) {
        fill_random(data, CHUNK, &seed);
        for (size_t at = 0; at < CHUNK;) {
            ssize_t done = send(fd, data + at, CHUNK - at, MSG_NOSIGNAL);
            if (done <= 0) {
                return failed("send");
            }
            at += (size_t)done;
        }
    }
    printf("sent %llu MB\n", (unsigned long long)(total >> 20));
    return 0;
}

static int receive_all(int fd, uint64_t total, uint64_t seed)
{
    char data[CHUNK], expected[CHUNK];
    for (uint64_t received = 0; received < total; received += CHUNK) {
        if (recv(fd, data, CHUNK, MSG_WAITALL) != CHUNK) {
            return failed("receive");
        }
        fill_random(expected, CHUNK, &seed);
        if (memcmp(data, expected, CHUNK) != 0) {
            printf("wrong bytes after %llu\n", (unsigned long long)received);
            return 1;
        }
    }
    printf("received %llu MB\n", (unsigned long long)(total >> 20));
    return 0;
}

int load_stream(int argc, char **argv)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (argc == 3 && strcmp(argv[0], "serve") == 0) {
        uint64_t total = strtoull(argv[2], NULL, 0) << 20;
        address.sin_port = htons((uint16_t)atoi(argv[1]));
        int on = 1; /* the port of a connection that was just closed */

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0) {
            return failed("bind");
        }
        printf("listening\n");
        int peer = accept(fd, NULL, NULL);
        if (peer < 0) {
            return failed("accept");
        }
        return receive_all(peer, total, 1) || send_all(peer, total, 2);
    }
    if (argc == 4 && strcmp(argv[0], "connect") == 0) {
        uint64_t total = strtoull(argv[3], NULL, 0) << 20;
        address.sin_port = htons((uint16_t)atoi(argv[2]));
        if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 ||
            connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
            return failed("connect");
        }
        return send_all(fd, total, 1) || receive_all(fd, total, 2);
    }
    printf("load stream serve PORT MEGABYTES | connect ADDRESS PORT MEGABYTES\n");
    return 2;
}
