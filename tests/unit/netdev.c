/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Back ends, with a card that only collects: over socket pairs, and the user stack by hand. */
#include "dm/net/address.h"
#include "dm/net/backend.h"
#include "dm/net/user.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <arpa/inet.h>
#include <event2/thread.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A card. */

struct card {
    struct net_client client;
    GPtrArray *received; /* of GBytes */
    unsigned room;       /* packets that it takes */
    unsigned ends, writables, refusals, link_changes;
};

static bool card_receive(void *opaque, unsigned queue, const struct vnet_header *header,
                         const struct iovec *data, unsigned count)
{
    struct card *card = opaque;
    size_t length = packet_length(data, count);
    uint8_t *copy;

    if (!card->room) {
        card->refusals++;
        return false;
    }
    card->room--;
    copy = g_malloc(length);
    packet_copy(copy, length, data, count);
    g_ptr_array_add(card->received, g_bytes_new_take(copy, length));
    return true;
}

static void card_end(void *opaque, unsigned queue)
{
    ((struct card *)opaque)->ends++;
}

static void card_writable(void *opaque, unsigned queue)
{
    ((struct card *)opaque)->writables++;
}

static void card_link(void *opaque)
{
    ((struct card *)opaque)->link_changes++;
}

static void free_bytes(void *bytes)
{
    g_bytes_unref(bytes);
}

static void card_init(struct card *card)
{
    *card = (struct card){
        .client = {card_receive, card_end, card_writable, card_link, card, .name = "card"},
        .received = g_ptr_array_new_with_free_func(free_bytes),
        .room = 1000000,
    };
}

static void card_destroy(struct card *card)
{
    net_detach(&card->client);
    g_ptr_array_unref(card->received);
}

/* A machine, a back end and a card on it. '@' in the options is the other end of `peer`. */
struct bench {
    struct fake_engine engine;
    struct machine *machine;
    struct netdev *netdev;
    struct card card;
    int peer;
};

static void bench_init(struct bench *bench, int type, const char *format)
{
    int fds[2] = {-1, -1};
    g_autofree char *options = NULL, *number = NULL;
    g_auto(GStrv) parts = NULL;
    g_autoptr(GError) error = NULL;

    *bench = (struct bench){0};
    bench->machine = fake_machine_new(&bench->engine);
    if (type) {
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds), 0);
    }
    bench->peer = fds[0];
    number = g_strdup_printf("%d", fds[1]);
    parts = g_strsplit(format, "@", -1);
    options = g_strjoinv(number, parts);
    bench->netdev = netdev_new(bench->machine, options, &error);
    if (!bench->netdev) {
        CU_FAIL_FATAL(error->message);
        return;
    }
    card_init(&bench->card);
    CU_ASSERT_TRUE_FATAL(net_attach(&bench->card.client, bench->netdev, NULL));
}

static void bench_destroy(struct bench *bench)
{
    card_destroy(&bench->card);
    fake_machine_free(bench->machine);
    if (bench->peer >= 0) {
        close(bench->peer);
    }
}

/* Run the loop until a number is reached: for as long as something happens. */
static void run_until(struct bench *bench, const unsigned *value, unsigned target)
{
    struct timeval limit = {.tv_sec = 20};

    event_base_loopexit(bench->machine->base, &limit);
    while (*value < target && !event_base_got_exit(bench->machine->base)) {
        event_base_loop(bench->machine->base, EVLOOP_ONCE);
    }
    CU_ASSERT_TRUE(*value >= target);
}

static void run_now(struct bench *bench)
{
    for (unsigned i = 0; i < 20; i++) {
        event_base_loop(bench->machine->base, EVLOOP_NONBLOCK);
    }
}

static bool card_send(struct card *card, const void *data, size_t length,
                      const struct vnet_header *header)
{
    static const struct vnet_header none;
    struct iovec pieces[2] = {{(void *)data, length / 2},
                              {(uint8_t *)data + length / 2, length - length / 2}};

    return net_send(&card->client, 0, header ? header : &none, pieces, 2);
}

static bool is_packet(const struct card *card, unsigned index, const void *data, size_t length)
{
    gsize size = 0;
    const void *got = index < card->received->len
                          ? g_bytes_get_data(g_ptr_array_index(card->received, index), &size)
                          : NULL;

    return got && size == length && memcmp(got, data, length) == 0;
}

/* Datagrams. */

static void test_dgram(void)
{
    uint8_t packet[1514], got[2000];
    struct bench bench;

    memset(packet, 0x5a, sizeof(packet));
    bench_init(&bench, SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@");
    CU_ASSERT_TRUE(card_send(&bench.card, packet, 1514, NULL));
    CU_ASSERT_EQUAL(recv(bench.peer, got, sizeof(got), 0), 1514);
    CU_ASSERT_EQUAL(memcmp(got, packet, 1514), 0);
    CU_ASSERT_EQUAL(send(bench.peer, packet, 60, 0), 60);
    CU_ASSERT_EQUAL(send(bench.peer, packet, 1514, 0), 1514);
    run_until(&bench, &bench.card.received->len, 2);
    CU_ASSERT_TRUE(is_packet(&bench.card, 0, packet, 60));
    CU_ASSERT_TRUE(is_packet(&bench.card, 1, packet, 1514));
    CU_ASSERT_TRUE(bench.card.ends >= 1);
    bench_destroy(&bench);
}

/* The card says no in the middle of a batch; nothing is lost and the order stays. */
static void test_no_room(int type, const char *options, bool framed)
{
    struct bench bench;
    uint8_t packet[64] = {0};
    unsigned sent = 0;

    bench_init(&bench, type, options);
    bench.card.room = 3;
    for (uint8_t i = 0; i < 30; i++, sent++) {
        uint32_t prefix = htonl(sizeof(packet));
        struct iovec pieces[2] = {{&prefix, framed ? 4u : 0u}, {packet, sizeof(packet)}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

        memset(packet, i, sizeof(packet));
        CU_ASSERT_TRUE(sendmsg(bench.peer, &message, 0) > 0);
    }
    run_until(&bench, &bench.card.refusals, 1);
    run_now(&bench);
    CU_ASSERT_EQUAL(bench.card.refusals, 1); /* it does not ask again and again */
    CU_ASSERT_EQUAL(bench.card.received->len, 3);
    bench.card.room = 5;
    net_resume(&bench.card.client, 0);
    run_until(&bench, &bench.card.received->len, 8);
    run_now(&bench);
    CU_ASSERT_EQUAL(bench.card.received->len, 8);
    bench.card.room = 1000;
    net_resume(&bench.card.client, 0);
    run_until(&bench, &bench.card.received->len, sent);
    for (uint8_t i = 0; i < sent; i++) {
        memset(packet, i, sizeof(packet));
        CU_ASSERT_TRUE(is_packet(&bench.card, i, packet, sizeof(packet)));
    }
    bench_destroy(&bench);
}

static void test_dgram_no_room(void)
{
    test_no_room(SOCK_SEQPACKET, "dgram,id=n,local.type=fd,local.str=@", false);
}

static void test_stream_no_room(void)
{
    test_no_room(SOCK_STREAM, "stream,id=n,addr.type=fd,addr.str=@", true);
}

/* The peer does not read: the card is told no, and then that there is room. */
static void test_full(int type, const char *options, size_t prefix)
{
    struct bench bench;
    g_autofree uint8_t *packet = g_malloc(9000), *got = g_malloc(1 << 20);
    unsigned sent = 0;
    size_t bytes = 0;
    ssize_t n;

    bench_init(&bench, type, options);
    memset(packet, 0x11, 9000);
    while (sent < 100000 && card_send(&bench.card, packet, 9000, NULL)) {
        sent++;
    }
    CU_ASSERT_TRUE(sent > 0 && sent < 100000);
    CU_ASSERT_FALSE(card_send(&bench.card, packet, 9000, NULL));
    run_now(&bench);
    CU_ASSERT_EQUAL(bench.card.writables, 0);
    while (bytes < sent * (9000 + prefix)) {
        n = recv(bench.peer, got, 1 << 20, MSG_DONTWAIT);
        if (n > 0) {
            bytes += (size_t)n;
        }
        run_now(&bench);
    }
    CU_ASSERT_EQUAL(bytes, sent * (9000 + prefix));
    CU_ASSERT_EQUAL(bench.card.writables, 1);
    CU_ASSERT_TRUE(card_send(&bench.card, packet, 9000, NULL));
    bench_destroy(&bench);
}

static void test_dgram_full(void)
{
    test_full(SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@", 0);
}

static void test_stream_full(void)
{
    test_full(SOCK_STREAM, "socket,id=n,fd=@", 4);
}

static void test_stream_garbage(void)
{
    struct bench bench;

    bench_init(&bench, SOCK_STREAM, "stream,id=n,addr.type=fd,addr.str=@");
    CU_ASSERT_TRUE(net_client_link_is_up(&bench.card.client));
    CU_ASSERT_EQUAL(send(bench.peer, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
    run_now(&bench);
    CU_ASSERT_FALSE(net_client_link_is_up(&bench.card.client));
    CU_ASSERT_EQUAL(bench.card.received->len, 0);
    CU_ASSERT_TRUE(bench.card.link_changes > 0);
    CU_ASSERT_TRUE(card_send(&bench.card, "0123456789012345", 16, NULL)); /* into nothing */
    bench_destroy(&bench);
}

/* Unfinished packets over a back end that can't: they come out finished. */
static void test_software(void)
{
    struct vnet_header header = {VNET_NEEDS_CHECKSUM, VNET_GSO_TCPV4, 54, 100, 34, 16, 0};
    uint8_t packet[54 + 1050] = {[12] = 8, [14] = 0x45, [23] = 6, [46] = 0x50};
    uint8_t got[2000];
    struct bench bench;
    unsigned count = 0;
    ssize_t n;

    memset(packet + 54, 0x77, 1050);
    bench_init(&bench, SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@");
    CU_ASSERT_TRUE(card_send(&bench.card, packet, sizeof(packet), &header));
    while ((n = recv(bench.peer, got, sizeof(got), MSG_DONTWAIT)) > 0) {
        CU_ASSERT_EQUAL(n, count < 10 ? 154 : 104);
        count++;
    }
    CU_ASSERT_EQUAL(count, 11);
    header.checksum_start = 0xffff;
    CU_ASSERT_TRUE(card_send(&bench.card, packet, sizeof(packet), &header));
    CU_ASSERT_TRUE(recv(bench.peer, got, sizeof(got), MSG_DONTWAIT) < 0); /* dropped */
    bench_destroy(&bench);
}

/* More segments than the peer takes at once: all arrive, in order, and nothing between them. */
static void test_software_full(void)
{
    struct vnet_header header = {VNET_NEEDS_CHECKSUM, VNET_GSO_TCPV4, 54, 1460, 34, 16, 0};
    g_autofree uint8_t *packet = g_malloc0(54 + 64000);
    uint8_t got[2000];
    struct bench bench;
    unsigned sent = 0, segments = 0;
    uint32_t sequence = 0;
    ssize_t n;

    packet[12] = 8;
    packet[14] = 0x45;
    packet[23] = 6;
    packet[46] = 0x50;
    bench_init(&bench, SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@");
    while (card_send(&bench.card, packet, 54 + 64000, &header)) {
        sent++;
        CU_ASSERT_TRUE_FATAL(sent < 1000);
    }
    while (segments < sent * 44) {
        n = recv(bench.peer, got, sizeof(got), MSG_DONTWAIT);
        if (n > 0) {
            uint32_t seen = (uint32_t)(got[38] << 24 | got[39] << 16 | got[40] << 8 | got[41]);

            CU_ASSERT_EQUAL_FATAL(seen, sequence);
            sequence = segments % 44 == 43 ? 0 : sequence + 1460;
            segments++;
        }
        run_now(&bench);
    }
    CU_ASSERT_EQUAL(bench.card.writables, 1);
    bench_destroy(&bench);
}

static void test_links(void)
{
    uint8_t packet[60] = {0}, got[100];
    struct bench bench;

    bench_init(&bench, SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@");
    netdev_set_link(bench.netdev, false);
    CU_ASSERT_FALSE(net_client_link_is_up(&bench.card.client));
    CU_ASSERT_EQUAL(bench.card.link_changes, 1);
    CU_ASSERT_TRUE(card_send(&bench.card, packet, sizeof(packet), NULL));
    CU_ASSERT_TRUE(recv(bench.peer, got, sizeof(got), MSG_DONTWAIT) < 0);
    CU_ASSERT_EQUAL(send(bench.peer, packet, 60, 0), 60);
    run_now(&bench);
    CU_ASSERT_EQUAL(bench.card.received->len, 0);
    netdev_set_link(bench.netdev, true);
    net_client_set_link(&bench.card.client, false);
    CU_ASSERT_FALSE(net_client_link_is_up(&bench.card.client));
    net_client_set_link(&bench.card.client, true);
    CU_ASSERT_TRUE(card_send(&bench.card, packet, sizeof(packet), NULL));
    CU_ASSERT_EQUAL(recv(bench.peer, got, sizeof(got), MSG_DONTWAIT), 60);
    bench_destroy(&bench);
}

static void test_one_card_each(void)
{
    struct bench bench;
    struct card second;
    g_autoptr(GError) error = NULL;

    bench_init(&bench, SOCK_DGRAM, "dgram,id=n,local.type=fd,local.str=@");
    card_init(&second);
    CU_ASSERT_FALSE(net_attach(&second.client, bench.netdev, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "is used by NIC 'card'"));
    g_clear_error(&error);
    CU_ASSERT_FALSE(netdev_remove(bench.netdev, &error));
    net_detach(&bench.card.client);
    CU_ASSERT_TRUE(netdev_remove(bench.netdev, NULL));
    CU_ASSERT_PTR_NULL(netdev_find(bench.machine, "n"));
    card_destroy(&second);
    bench_destroy(&bench);
}

/* The user stack: DHCP and ARP by hand. */

static void put_udp(uint8_t *packet, size_t payload, uint16_t from, uint16_t to)
{
    static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0,   0,   64,  17,
                                   0,    0, 0, 0, 0, 0, 255, 255, 255, 255};
    uint32_t sum = 0;

    memset(packet, 0xff, 6);
    memcpy(packet + 6, "\x52\x54\x00\x12\x34\x56\x08\x00", 8);
    memcpy(packet + 14, ip, 20);
    packet[16] = (uint8_t)((payload + 28) >> 8);
    packet[17] = (uint8_t)(payload + 28);
    for (unsigned i = 0; i < 20; i += 2) {
        sum += (uint32_t)(packet[14 + i] << 8 | packet[15 + i]);
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    packet[24] = (uint8_t)(sum >> 8);
    packet[25] = (uint8_t)sum;
    memset(packet + 34, 0, 8);
    packet[34] = (uint8_t)(from >> 8);
    packet[35] = (uint8_t)from;
    packet[36] = (uint8_t)(to >> 8);
    packet[37] = (uint8_t)to;
    packet[38] = (uint8_t)((payload + 8) >> 8);
    packet[39] = (uint8_t)(payload + 8);
}

static void make_dhcp_discover(uint8_t packet[342])
{
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};

    memset(packet, 0, 342);
    put_udp(packet, 300, 68, 67);
    packet[42] = packet[43] = 1;
    packet[44] = 6;
    memcpy(packet + 42 + 28, "\x52\x54\x00\x12\x34\x56", 6);
    memcpy(packet + 42 + 236, options, sizeof(options));
}

static void check_offer(struct bench *bench, const char *address)
{
    uint8_t packet[342];
    const uint8_t *got;
    char text[INET_ADDRSTRLEN];
    gsize size = 0;

    make_dhcp_discover(packet);
    CU_ASSERT_TRUE(card_send(&bench->card, packet, sizeof(packet), NULL));
    do {
        g_ptr_array_set_size(bench->card.received, 0);
        run_until(bench, &bench->card.received->len, 1);
        got = g_bytes_get_data(g_ptr_array_index(bench->card.received, 0), &size);
    } while (size >= 14 && got[12] == 0x86); /* router advertisements come by themselves */
    CU_ASSERT_TRUE_FATAL(size > 42 + 240);
    CU_ASSERT_EQUAL(got[42], 2); /* a reply */
    inet_ntop(AF_INET, got + 42 + 16, text, sizeof(text));
    CU_ASSERT_STRING_EQUAL(text, address);
}

static void test_user_dhcp(void)
{
    struct bench bench;

    bench_init(&bench, 0, "user,id=n");
    check_offer(&bench, "10.0.2.15");
    bench_destroy(&bench);
    bench_init(&bench, 0, "user,id=n,net=192.168.76.0/24,dhcpstart=192.168.76.9");
    check_offer(&bench, "192.168.76.9");
    bench_destroy(&bench);
}

/* No room in the card: packets wait in the stack's box and come later. */
static void test_user_no_room(void)
{
    uint8_t packet[342];
    struct bench bench;

    bench_init(&bench, 0, "user,id=n,ipv6=off");
    make_dhcp_discover(packet);
    bench.card.room = 0;
    card_send(&bench.card, packet, sizeof(packet), NULL);
    card_send(&bench.card, packet, sizeof(packet), NULL);
    run_until(&bench, &bench.card.refusals, 1);
    run_now(&bench);
    CU_ASSERT_EQUAL(bench.card.received->len, 0);
    bench.card.room = 10;
    net_resume(&bench.card.client, 0);
    run_until(&bench, &bench.card.received->len, 2);
    bench_destroy(&bench);
}

static void test_user_forwards(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    struct bench bench;

    bench_init(&bench, 0, "user,id=n,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp::0-:53");
    text = netdev_user_connections(bench.netdev);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "TCP[HOST_FORWARD]"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "UDP[HOST_FORWARD]"));
    CU_ASSERT_FALSE(netdev_user_add_forward(bench.netdev, "tcp:1.2.3:1-:2", &error));
    g_clear_error(&error);
    CU_ASSERT_FALSE(netdev_user_add_forward(bench.netdev, "tcp:192.0.2.1:9-:2", &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "cannot listen"));
    g_clear_error(&error);
    CU_ASSERT_FALSE(netdev_user_remove_forward(bench.netdev, "tcp::9", &error));
    bench_destroy(&bench);
}

static void test_forward_texts(void)
{
    static const struct {
        const char *text;
        bool removal, good;
    } cases[] = {
        {"tcp::1-:2", false, true},
        {"udp:127.0.0.1:5555-10.0.2.15:22", false, true},
        {":1-:2", false, false},
        {"tcp::1", false, false},
        {"tcp::1", true, true},
        {"tcp::1-:2", true, false},
        {"sctp::1-:2", false, false},
        {"tcp::1-:0", false, false},
        {"tcp::65536-:1", false, false},
        {"tcp::-:1", false, false},
        {"", false, false},
        {"tcp", false, false},
        {"tcp:", true, false},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct user_forward forward;
        g_autoptr(GError) error = NULL;

        CU_ASSERT_EQUAL(user_forward_parse(&forward, cases[i].text, cases[i].removal, &error),
                        cases[i].good);
        CU_ASSERT_EQUAL(error == NULL, cases[i].good);
    }
}

/* Options that must be refused, and a word that the message must have. */
static void test_refused(void)
{
    static const char *const cases[][2] = {
        {"", "no kind"},
        {"usr,id=n", "did you mean 'user'"},
        {"user", "needs an id"},
        {"user,id=a b", "may have letters"},
        {"user,id=n,hostfw=x", "did you mean 'hostfwd'"},
        {"user,id=n,net=10.0.2.0/40", "length of 8 to 29"},
        {"user,id=n,host=10.0.3.1", "outside of net"},
        {"user,id=n,host=10.0.2.3", "three addresses"},
        {"user,id=n,ipv4=off,ipv6=off", "leave nothing"},
        {"user,id=n,hostfwd=tcp:x", "hostfwd: "},
        {"user,id=n,guestfwd=tcp:10.0.2.9:1", "guestfwd="},
        {"user,id=n,dns=x", "IPv4 address"},
        {"user,id=n,ipv6-host=x", "IPv6 address"},
        {"tap,id=n,vhost=on", "vhost=on"},
        {"tap,id=n,helper=/x", "bridge helper"},
        {"tap,id=n,fd=0", "not an open tap"},
        {"tap,id=n,fd=3,ifname=x", "goes without"},
        {"tap,id=n,queues=0", "must be 1 to"},
        {"tap,id=n,ifname=0123456789abcdef", "at most 15"},
        {"stream,id=n", "needs an address"},
        {"stream,id=n,addr.type=unix", "needs one of"},
        {"stream,id=n,addr.type=x", "must be unix"},
        {"stream,id=n,addr.path=/x", "is missing"},
        {"stream,id=n,addr.type=inet,addr.path=/x", "does not go with"},
        {"stream,id=n,addr.type=unix,addr.path=/nowhere/x", "cannot connect"},
        {"stream,id=n,reconnect=-1,addr.type=unix,addr.path=/x", "0 to 3600"},
        {"dgram,id=n", "needs local"},
        {"dgram,id=n,local.type=unix,local.path=/x", "needs local"},
        {"dgram,id=n,local.type=unix,local.path=/x,remote.type=inet,remote.port=1", "one type"},
        {"socket,id=n", "needs one of"},
        {"socket,id=n,udp=127.0.0.1:1", "localaddr"},
        {"socket,id=n,connect=x", "HOST:PORT"},
    };
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        CU_ASSERT_PTR_NULL(netdev_new(machine, cases[i][0], &error));
        if (!error || !strstr(error->message, cases[i][1])) {
            g_printerr("%s: %s\n", cases[i][0], error ? error->message : "(accepted)");
            CU_FAIL("not refused as expected");
        }
    }
    CU_ASSERT_EQUAL(machine->netdevs->len, 0);
    CU_ASSERT_PTR_NOT_NULL(netdev_new(machine, "user,id=n", NULL));
    CU_ASSERT_PTR_NULL(netdev_new(machine, "user,id=n", NULL)); /* the name is taken */
    fake_machine_free(machine);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"dgram", test_dgram},
        {"dgram: no room in the card", test_dgram_no_room},
        {"dgram: the peer does not read", test_dgram_full},
        {"stream: no room in the card", test_stream_no_room},
        {"stream: the peer does not read", test_stream_full},
        {"stream: garbage", test_stream_garbage},
        {"checksums and segments in software", test_software},
        {"segments wait for a full peer", test_software_full},
        {"links", test_links},
        {"one card each", test_one_card_each},
        {"user: DHCP", test_user_dhcp},
        {"user: no room in the card", test_user_no_room},
        {"user: forwards", test_user_forwards},
        {"user: forwards as text", test_forward_texts},
        {"options that are refused", test_refused},
        {NULL, NULL},
    };

    evthread_use_pthreads();
    return unit_run("netdev", tests);
}
