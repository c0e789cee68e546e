/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vfio-user: messages, a connection that many threads use, DMA as the server sees it. */
#include "memory/ram-windows.h"
#include "memory/rcu.h"
#include "unit/suite.h"
#include "util/file-guard.h"
#include "vfio/user-connection.h"
#include "vfio/user-dma.h"
#include "vfio/user-protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096ull

/* Messages out of a stream. */

static GByteArray *add_message(GByteArray *stream, unsigned command, const void *payload,
                               unsigned length)
{
    struct vfio_user_header header = {.id = (uint16_t)length,
                                      .command = (uint16_t)command,
                                      .size = (uint32_t)sizeof(header) + length,
                                      .flags = VFIO_USER_REPLY};

    g_byte_array_append(stream, (const uint8_t *)&header, sizeof(header));
    g_byte_array_append(stream, payload, length);
    return stream;
}

/* Whatever the parts, the messages are those that were sent. */
static void test_parts(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    static uint8_t bytes[5000];

    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (unsigned round = 0; round < 200; round++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        struct vfio_user_framer framer;
        unsigned count = (unsigned)g_rand_int_range(random, 1, 20), seen = 0, lengths[20];
        const char *problem = NULL;

        for (unsigned i = 0; i < count; i++) {
            lengths[i] = (unsigned)g_rand_int_range(random, 0, g_rand_boolean(random) ? 40 : 5000);
            add_message(stream, i, bytes, lengths[i]);
        }
        vfio_user_framer_init(&framer);
        for (unsigned at = 0; at < stream->len;) {
            size_t wanted, n;
            uint8_t *space = vfio_user_framer_space(&framer, &wanted);

            n = (size_t)g_rand_int_range(random, 1, 3000);
            n = MIN(n, MIN(wanted, stream->len - at));
            memcpy(space, stream->data + at, n);
            at += (unsigned)n;
            if (vfio_user_framer_added(&framer, n, &problem) == VFIO_USER_WHOLE) {
                const uint8_t *payload;
                size_t length;
                struct vfio_user_header header = vfio_user_framer_get(&framer, &payload, &length);

                CU_ASSERT_EQUAL_FATAL(header.command, seen);
                CU_ASSERT_EQUAL_FATAL(length, lengths[seen]);
                CU_ASSERT_EQUAL(memcmp(payload, bytes, length), 0);
                vfio_user_framer_next(&framer);
                seen++;
            }
        }
        CU_ASSERT_EQUAL(seen, count);
        CU_ASSERT_PTR_NULL(problem);
        vfio_user_framer_clear(&framer);
    }
}

static bool is_broken(uint32_t size, uint32_t flags)
{
    struct vfio_user_header header = {.size = size, .flags = flags};
    struct vfio_user_framer framer;
    const char *problem = NULL;
    size_t wanted;
    bool broken;

    vfio_user_framer_init(&framer);
    memcpy(vfio_user_framer_space(&framer, &wanted), &header, sizeof(header));
    CU_ASSERT_EQUAL(wanted, sizeof(header));
    broken = vfio_user_framer_added(&framer, sizeof(header), &problem) == VFIO_USER_BROKEN;
    CU_ASSERT_EQUAL(broken, problem != NULL);
    if (broken) {
        vfio_user_framer_space(&framer, &wanted);
        CU_ASSERT_EQUAL(wanted, 0); /* and nothing more */
    }
    vfio_user_framer_clear(&framer);
    return broken;
}

static void test_headers(void)
{
    CU_ASSERT_TRUE(is_broken(0, 0));
    CU_ASSERT_TRUE(is_broken(15, 0));
    CU_ASSERT_FALSE(is_broken(16, 0));
    CU_ASSERT_FALSE(is_broken(VFIO_USER_MESSAGE_MAX, VFIO_USER_REPLY));
    CU_ASSERT_TRUE(is_broken(VFIO_USER_MESSAGE_MAX + 1, VFIO_USER_REPLY));
    CU_ASSERT_TRUE(is_broken(UINT32_MAX, VFIO_USER_REPLY));
    CU_ASSERT_TRUE(is_broken(16, 2));
    CU_ASSERT_FALSE(is_broken(16, VFIO_USER_REPLY | VFIO_USER_ERROR));
}

static void test_descriptors(void)
{
    struct vfio_user_framer framer;
    int null;

    vfio_user_framer_init(&framer);
    for (unsigned i = 0; i < VFIO_USER_FDS_MAX; i++) {
        CU_ASSERT_TRUE(vfio_user_framer_add_fd(&framer, open("/dev/null", O_RDONLY)));
    }
    null = open("/dev/null", O_RDONLY);
    CU_ASSERT_FALSE(vfio_user_framer_add_fd(&framer, null));
    CU_ASSERT_EQUAL(fcntl(null, F_GETFD), -1);
    null = framer.fds[3];
    vfio_user_framer_next(&framer);
    CU_ASSERT_EQUAL(fcntl(null, F_GETFD), -1);
    vfio_user_framer_clear(&framer);
}

/* What is said about a device. */

static bool parse_version(const char *text, unsigned fds, struct vfio_user_capabilities *can)
{
    uint8_t payload[512] = {0, 0, 1, 0};

    strcpy((char *)payload + 4, text);
    return vfio_user_parse_version(payload, 4 + strlen(text) + 1, fds, can, NULL);
}

static void test_version(void)
{
    struct vfio_user_capabilities can;

    CU_ASSERT_TRUE(parse_version("{}", 0, &can));
    CU_ASSERT_EQUAL(can.message_fds, 1);
    CU_ASSERT_EQUAL(can.dma_maps, 65535);
    CU_ASSERT_EQUAL(can.page_sizes, 4096);
    CU_ASSERT_EQUAL(can.twin_socket, -1);
    CU_ASSERT_TRUE(parse_version("{\"capabilities\":{\"max_msg_fds\":100000,\"pgsizes\":2101248,"
                                 "\"max_dma_maps\":7,\"twin_socket\":{\"supported\":true,"
                                 "\"fd_index\":1}}}",
                                 2, &can));
    CU_ASSERT_EQUAL(can.message_fds, VFIO_USER_FDS_MAX);
    CU_ASSERT_EQUAL(can.dma_maps, 7);
    CU_ASSERT_EQUAL(can.page_sizes, 4096 | 1 << 21);
    CU_ASSERT_EQUAL(can.twin_socket, 1);
    CU_ASSERT_FALSE(parse_version("{\"capabilities\":{\"twin_socket\":{\"supported\":true,"
                                  "\"fd_index\":2}}}",
                                  2, &can));
    CU_ASSERT_TRUE(
        parse_version("{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}", 0, &can));
}

static void test_areas(void)
{
    struct {
        struct vfio_region_info info;
        /* struct vfio_region_info_cap_sparse_mmap */
        struct vfio_info_cap_header header;
        uint32_t nr_areas, reserved;
        struct vfio_region_sparse_mmap_area areas[4];
    } answer = {
        .info =
            {.argsz = sizeof(answer), .flags = 0xf, .index = 2, .cap_offset = 32, .size = 0x4000},
        .header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .next = 32},
        .nr_areas = 1000,
        .areas = {{0x1000, 0x1000}, {0x1800, 0x800}, {0x3000, 0x2000}, {0x2000, 0x10}},
    };
    struct vfio_region region = {.areas = g_array_new(false, false, sizeof(struct range))};
    size_t needed;

    CU_ASSERT_TRUE(vfio_user_parse_region_info((const uint8_t *)&answer, sizeof(answer), 2, &region,
                                               &needed, NULL));
    CU_ASSERT_EQUAL_FATAL(region.areas->len, 2);
    CU_ASSERT_EQUAL(g_array_index(region.areas, struct range, 0).start, 0x1000);
    CU_ASSERT_EQUAL(g_array_index(region.areas, struct range, 1).start, 0x2000);
    CU_ASSERT_EQUAL(g_array_index(region.areas, struct range, 1).length, 0x1000);
    for (size_t length = 0; length < sizeof(answer); length++) {
        g_autofree uint8_t *cut = g_memdup2(&answer, length);

        CU_ASSERT_EQUAL(vfio_user_parse_region_info(cut, length, 2, &region, &needed, NULL),
                        length >= sizeof(answer.info));
    }
    CU_ASSERT_FALSE(vfio_user_parse_region_info((const uint8_t *)&answer, sizeof(answer), 3,
                                                &region, &needed, NULL));
    g_array_unref(region.areas);
}

/* A server, in a thread. */

struct server {
    char *folder, *path;
    int listening, client;
    pthread_t thread;
    bool silent;   /* answers VERSION alone */
    int refuse_at; /* the number of the DMA_MAP that is refused; 0: none */
    unsigned maps;
    int lost; /* atomic */
};

static bool take_bytes(int fd, void *buffer, size_t length)
{
    return length == 0 || recv(fd, buffer, length, MSG_WAITALL) == (ssize_t)length;
}

static void answer(struct server *server, struct vfio_user_header header, const void *payload,
                   uint32_t length)
{
    header.size = (uint32_t)sizeof(header) + length;
    header.flags |= VFIO_USER_REPLY;
    if (send(server->client, &header, sizeof(header), MSG_NOSIGNAL | (length ? MSG_MORE : 0)) > 0 &&
        length) {
        send(server->client, payload, length, MSG_NOSIGNAL);
    }
}

struct question {
    struct vfio_user_header header;
    uint8_t payload[256];
};

static void answer_one(struct server *server, struct question *question)
{
    struct vfio_user_header header = question->header;
    uint32_t length = header.size - (uint32_t)sizeof(header);
    struct vfio_user_region_access access;
    uint8_t reply[sizeof(access) + 4];

    switch (header.command) {
    case VFIO_USER_VERSION:
        answer(server, header, "\0\0\1\0{}", 7);
        break;
    case VFIO_USER_REGION_READ: /* the value is the offset */
        memcpy(&access, question->payload, sizeof(access));
        memcpy(reply, &access, sizeof(access));
        memcpy(reply + sizeof(access), &access.offset, 4);
        answer(server, header, reply, sizeof(reply));
        break;
    case VFIO_USER_DMA_MAP:
        if ((int)++server->maps == server->refuse_at) {
            header.flags = VFIO_USER_ERROR;
            header.error = ENOMEM;
        }
        answer(server, header, NULL, 0);
        break;
    default:
        answer(server, header, question->payload, length);
    }
}

/* Takes what there is, and answers in the other order. */
static void *serve(void *opaque)
{
    struct server *server = opaque;
    struct question questions[8];
    unsigned count = 0;

    server->client = accept(server->listening, NULL, NULL);
    for (;;) {
        struct question *question = &questions[count];
        struct pollfd fd = {.fd = server->client, .events = POLLIN};

        if (!take_bytes(server->client, &question->header, sizeof(question->header)) ||
            question->header.size > sizeof(*question) ||
            !take_bytes(server->client, question->payload,
                        question->header.size - sizeof(question->header))) {
            break;
        }
        count++;
        if (server->silent && question->header.command != VFIO_USER_VERSION) {
            count = 0;
        }
        if (count == G_N_ELEMENTS(questions) || poll(&fd, 1, 0) == 0) {
            while (count) {
                answer_one(server, &questions[--count]);
            }
        }
    }
    close(server->client);
    return NULL;
}

static void on_lost(void *opaque)
{
    __atomic_add_fetch(&((struct server *)opaque)->lost, 1, __ATOMIC_SEQ_CST);
}

static struct vfio_user_connection *server_start(struct server *server, unsigned timeout)
{
    const struct vfio_user_listener listener = {.lost = on_lost, .opaque = server};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct vfio_user_connection *connection;

    server->folder = g_dir_make_tmp("duodm-vfio-user-XXXXXX", NULL);
    server->path = g_build_filename(server->folder, "s", NULL);
    g_strlcpy(address.sun_path, server->path, sizeof(address.sun_path));
    server->listening = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(server->listening, (struct sockaddr *)&address, sizeof(address)), 0);
    CU_ASSERT_EQUAL_FATAL(listen(server->listening, 1), 0);
    pthread_create(&server->thread, NULL, serve, server);
    connection = vfio_user_connect(server->path, "test", timeout, &listener, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(connection);
    return connection;
}

static void server_end(struct server *server, struct vfio_user_connection *connection)
{
    vfio_user_disconnect(connection);
    pthread_join(server->thread, NULL);
    close(server->listening);
    unlink(server->path);
    rmdir(server->folder);
    g_free(server->path);
    g_free(server->folder);
}

/* A connection. */

static bool ask(struct vfio_user_connection *connection, uint64_t offset, uint32_t *value,
                GError **error)
{
    struct vfio_user_region_access access = {.offset = offset, .count = 4};
    uint8_t reply[sizeof(access) + 4];
    struct vfio_user_request request = {
        .command = VFIO_USER_REGION_READ,
        .payload = &access,
        .payload_size = sizeof(access),
        .reply = reply,
        .reply_room = sizeof(reply),
        .reply_minimum = sizeof(reply),
    };
    bool ok = vfio_user_request(connection, &request, error);

    if (ok) {
        memcpy(value, reply + sizeof(access), 4);
    }
    return ok;
}

struct asker {
    struct vfio_user_connection *connection;
    unsigned number, wrong;
};

static void *ask_often(void *opaque)
{
    struct asker *asker = opaque;

    for (unsigned i = 0; i < 2000; i++) {
        uint32_t value = 0, wanted = asker->number << 16 | i;

        asker->wrong += !ask(asker->connection, wanted, &value, NULL) || value != wanted;
    }
    return NULL;
}

static void test_many_threads(void)
{
    struct server server = {0};
    struct vfio_user_connection *connection = server_start(&server, 60000);
    struct asker askers[6];
    pthread_t threads[6];

    for (unsigned i = 0; i < 6; i++) {
        askers[i] = (struct asker){connection, i, 0};
        pthread_create(&threads[i], NULL, ask_often, &askers[i]);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(askers[i].wrong, 0);
    }
    server_end(&server, connection);
    CU_ASSERT_EQUAL(server.lost, 0);
}

static void test_silence(void)
{
    struct server server = {.silent = true};
    struct vfio_user_connection *connection = server_start(&server, 1000);
    g_autoptr(GError) error = NULL;
    g_autofree char *problem = NULL;
    uint32_t value;
    int64_t before;

    CU_ASSERT_FALSE(ask(connection, 1, &value, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "REGION_READ was not answered in 1000 ms"));
    CU_ASSERT_TRUE(vfio_user_is_broken(connection));
    before = g_get_monotonic_time();
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT_FALSE(ask(connection, 1, &value, NULL));
    }
    CU_ASSERT_TRUE(g_get_monotonic_time() - before < 500 * G_USEC_PER_SEC); /* not 1000 s */
    problem = vfio_user_problem(connection);
    CU_ASSERT_PTR_NOT_NULL(strstr(problem, "not answered"));
    server_end(&server, connection);
    CU_ASSERT_EQUAL(server.lost, 1);
}

static void test_broken_by_its_user(void)
{
    struct server server = {0};
    struct vfio_user_connection *connection = server_start(&server, 60000);
    g_autoptr(GError) error = NULL;
    uint32_t value;

    CU_ASSERT_FALSE(vfio_user_break(connection, "first", &error));
    CU_ASSERT_FALSE(vfio_user_break(connection, "second", NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "is gone: first"));
    CU_ASSERT_FALSE(ask(connection, 1, &value, NULL));
    server_end(&server, connection);
    CU_ASSERT_EQUAL(server.lost, 1);
}

/* DMA by messages, against a map of pages. */

#define SPACE 64 /* pages of IOVA */

static void map_some(struct vfio_user_dma *dma, GRand *random, uint8_t *memory, int *model)
{
    unsigned page = (unsigned)g_rand_int_range(random, 0, SPACE), length = 0;
    unsigned target = (unsigned)g_rand_int_range(random, 0, SPACE);
    unsigned most = (unsigned)g_rand_int_range(random, 1, 9);
    struct dma_mapping mapping = {.iova = page * PAGE, .fd = -1, .access = IOMMU_READ};

    while (length < most && page + length < SPACE && target + length < SPACE &&
           model[page + length] < 0) {
        model[page + length] = (int)(target + length);
        length++;
    }
    mapping.length = length * PAGE;
    mapping.host = memory + target * PAGE;
    if (length) {
        CU_ASSERT_TRUE(dma_backend_map(vfio_user_dma_backend(dma), &mapping, NULL));
    }
}

static bool naive_read(const uint8_t *memory, const int *model, uint64_t address, uint64_t count,
                       uint8_t *data)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = (address + i) / PAGE;

        if (page >= SPACE || model[page] < 0) {
            return false;
        }
        data[i] = memory[(uint64_t)model[page] * PAGE + (address + i) % PAGE];
    }
    return true;
}

static void read_some(struct vfio_user_dma *dma, GRand *random, const uint8_t *memory,
                      const int *model)
{
    static uint8_t got[4 * PAGE], wanted[4 * PAGE];
    struct vfio_user_dma_access access = {
        .address = (uint64_t)g_rand_int_range(random, 0, SPACE * (int)PAGE),
        .count = (uint64_t)g_rand_int_range(random, 1, 4 * (int)PAGE),
    };
    bool allowed = naive_read(memory, model, access.address, access.count, wanted);

    CU_ASSERT_EQUAL(vfio_user_dma_read(dma, &access, got), allowed ? 0 : EFAULT);
    CU_ASSERT_TRUE(!allowed || memcmp(got, wanted, access.count) == 0);
    CU_ASSERT_EQUAL(vfio_user_dma_write(dma, &access, got), EFAULT); /* all are read-only */
}

static void test_dma(void)
{
    struct server server = {0};
    struct vfio_user_connection *connection = server_start(&server, 60000);
    struct vfio_user_dma *dma = vfio_user_dma_new(true);
    uint8_t *memory = aligned_alloc(PAGE, SPACE * PAGE);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    int model[SPACE];

    for (unsigned i = 0; i < SPACE * PAGE; i++) {
        memory[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    memset(model, 0xff, sizeof(model));
    vfio_user_dma_set_connection(dma, connection);
    for (unsigned i = 0; i < 3000; i++) {
        map_some(dma, random, memory, model);
        read_some(dma, random, memory, model);
        if (g_rand_int_range(random, 0, 12) == 0) { /* all of it: mappings are not cut */
            struct range all = {0, SPACE * PAGE};
            struct dma_backend *backend = vfio_user_dma_backend(dma);

            CU_ASSERT_TRUE(dma_backend_unmap(backend, all, backend->entries, NULL));
            memset(model, 0xff, sizeof(model));
        }
    }
    CU_ASSERT_TRUE(dma_backend_unmap(vfio_user_dma_backend(dma), (struct range){0, SPACE * PAGE},
                                     vfio_user_dma_backend(dma)->entries, NULL));
    server_end(&server, connection);
    vfio_user_dma_free(dma);
    free(memory);
}

/* Memory that has no address here: what the server asks for comes and goes by windows. */

static void *find_window(void *opaque, uint64_t offset, uint64_t *length, bool is_write)
{
    *length = MIN(*length, PAGE - offset % PAGE);
    return (uint8_t *)opaque + (offset / PAGE ^ 1) * PAGE +
           offset % PAGE; /* odd and even swapped */
}

static void test_dma_by_windows(void)
{
    static const struct ram_windows windows = {.find = find_window};
    struct server server = {0};
    struct vfio_user_connection *connection = server_start(&server, 60000);
    struct vfio_user_dma *dma = vfio_user_dma_new(true);
    uint8_t *memory = aligned_alloc(PAGE, 4 * PAGE), data[2 * PAGE];
    struct memory_region region;
    struct dma_mapping mapping = {.iova = 16 * PAGE,
                                  .length = 2 * PAGE,
                                  .fd = -1,
                                  .access = IOMMU_READ | IOMMU_WRITE,
                                  .region = &region,
                                  .region_offset = 2 * PAGE};
    struct vfio_user_dma_access access = {.address = 17 * PAGE - 8, .count = 16};

    memory_region_init_windowed_ram(&region, "windows", 4 * PAGE, &windows, memory);
    vfio_user_dma_set_connection(dma, connection);
    CU_ASSERT_TRUE(dma_backend_map(vfio_user_dma_backend(dma), &mapping, NULL));
    memset(memory, 0, 4 * PAGE);
    memset(data, 0x33, 16);
    CU_ASSERT_EQUAL(vfio_user_dma_write(dma, &access, data), 0);
    CU_ASSERT_EQUAL(memory[4 * PAGE - 8], 0x33);
    CU_ASSERT_EQUAL(memory[4 * PAGE - 9], 0);
    CU_ASSERT_EQUAL(memory[2 * PAGE + 7], 0x33);
    CU_ASSERT_EQUAL(memory[2 * PAGE + 8], 0);
    memory[2 * PAGE] = 0x44;
    CU_ASSERT_EQUAL(vfio_user_dma_read(dma, &access, data), 0);
    CU_ASSERT_EQUAL(data[7], 0x33);
    CU_ASSERT_EQUAL(data[8], 0x44);
    access.address = 18 * PAGE - 8;
    CU_ASSERT_EQUAL(vfio_user_dma_read(dma, &access, data), EFAULT);
    CU_ASSERT_TRUE(dma_backend_unmap(vfio_user_dma_backend(dma),
                                     (struct range){16 * PAGE, 2 * PAGE}, 1, NULL));
    server_end(&server, connection);
    vfio_user_dma_free(dma);
    memory_region_destroy(&region);
    memory_rcu_barrier();
    free(memory);
}

static void test_refused_mapping(void)
{
    struct server server = {.refuse_at = 2};
    struct vfio_user_connection *connection = server_start(&server, 60000);
    struct vfio_user_dma *dma = vfio_user_dma_new(false);
    uint8_t *host = aligned_alloc(PAGE, PAGE);
    struct dma_mapping mapping = {.iova = 0, .length = PAGE, .host = host, .fd = -1, .access = 3};
    struct vfio_user_dma_access access = {.address = PAGE, .count = 1};
    g_autoptr(GError) error = NULL;
    uint8_t byte = 1;

    vfio_user_dma_set_connection(dma, connection);
    CU_ASSERT_TRUE(dma_backend_map(vfio_user_dma_backend(dma), &mapping, NULL));
    mapping.iova = PAGE;
    CU_ASSERT_FALSE(dma_backend_map(vfio_user_dma_backend(dma), &mapping, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "IOVA 0x1000: vfio-user test: the server "
                                                  "refuses DMA_MAP: Cannot allocate memory"));
    CU_ASSERT_EQUAL(vfio_user_dma_write(dma, &access, &byte), EFAULT);
    access.address = PAGE - 1;
    CU_ASSERT_EQUAL(vfio_user_dma_write(dma, &access, &byte), 0);
    CU_ASSERT_EQUAL(host[PAGE - 1], 1);
    CU_ASSERT_EQUAL(vfio_user_dma_backend(dma)->entries, 1);
    server_end(&server, connection);
    vfio_user_dma_free(dma);
    free(host);
}

/* A mapped file that somebody else cuts short. */

static void check_cut(bool by_kernel)
{
    int file = memfd_create("cut", MFD_CLOEXEC), notify = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct file_guard *guard;
    struct file_guard_owner owner = {.notify = notify};
    uint64_t count;
    uint8_t *host;

    CU_ASSERT_EQUAL_FATAL(ftruncate(file, 4 * PAGE), 0);
    host = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    guard = file_guard_add(host, 4 * PAGE, &owner);
    memset(host, 7, 4 * PAGE);
    CU_ASSERT_FALSE(file_guard_repair());
    CU_ASSERT_EQUAL_FATAL(ftruncate(file, PAGE), 0);
    CU_ASSERT_FALSE(__atomic_load_n(&owner.cut, __ATOMIC_SEQ_CST));
    if (by_kernel) {
        CU_ASSERT_TRUE(file_guard_repair());
    }
    CU_ASSERT_EQUAL(((volatile uint8_t *)host)[3 * PAGE], 0);
    CU_ASSERT_TRUE(__atomic_load_n(&owner.cut, __ATOMIC_SEQ_CST));
    CU_ASSERT_EQUAL(read(notify, &count, sizeof(count)), sizeof(count));
    CU_ASSERT_FALSE(file_guard_repair());
    file_guard_remove(guard);
    munmap(host, 4 * PAGE);
    close(notify);
    close(file);
}

/* Registers that the host withdraws: ones, a page at a time; and nobody but who wants them reads
 * them. */
static void test_withdrawn_registers(void)
{
    int file = memfd_create("registers", MFD_CLOEXEC);
    struct file_guard_owner owner = {.is_device = true, .notify = -1};
    struct file_guard *guard;
    volatile uint8_t *host;

    CU_ASSERT_EQUAL_FATAL(ftruncate(file, 4 * PAGE), 0);
    host = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    guard = file_guard_add((void *)host, 4 * PAGE, &owner);
    host[0] = 7;
    CU_ASSERT_EQUAL_FATAL(ftruncate(file, PAGE), 0);
    CU_ASSERT_FALSE(file_guard_repair());
    CU_ASSERT_FALSE(__atomic_load_n(&owner.cut, __ATOMIC_SEQ_CST));
    host[PAGE + 1] = 1;
    CU_ASSERT_TRUE(__atomic_load_n(&owner.cut, __ATOMIC_SEQ_CST));
    CU_ASSERT_EQUAL(host[PAGE], 0xff);
    CU_ASSERT_EQUAL(host[4 * PAGE - 1], 0xff);
    CU_ASSERT_EQUAL(host[0], 7);
    file_guard_remove(guard);
    munmap((void *)host, 4 * PAGE);
    close(file);
}

static void test_cut_files(void)
{
    for (unsigned i = 0; i < 3; i++) {
        check_cut(false);
        check_cut(true);
    }
}

static const struct unit_test tests[] = {
    {"messages in parts", test_parts},
    {"headers that can't be", test_headers},
    {"descriptors are closed", test_descriptors},
    {"versions", test_version},
    {"areas of a region", test_areas},
    {"answers in another order, many threads", test_many_threads},
    {"no answer", test_silence},
    {"broken by its user", test_broken_by_its_user},
    {"DMA by messages against a model", test_dma},
    {"DMA by windows", test_dma_by_windows},
    {"a mapping that is refused", test_refused_mapping},
    {"files that are cut short", test_cut_files},
    {"registers that are withdrawn", test_withdrawn_registers},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vfio-user", tests);
}
