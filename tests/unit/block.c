/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images from the inside: random requests against a plain array, for each way that data take;
 * locks; errors; what happens at the edges of a file.
 */
#include "dm/block/block-private.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IMAGE_SIZE (1u << 20) /* bytes */
#define BATCH      24u

static char *folder;

struct fixture {
    struct event_base *base;
    struct block_registry *registry;
    struct block_backend *backend;
    struct block_queue *queue;
    unsigned batches;
    char *path;
};

/* A request with what a test needs of it. */
struct job {
    struct block_request request;
    struct iovec iov[5];
    uint8_t *memory; /* aligned to a page; the buffers are cut from it */
    bool done;
    int result;
};

static void on_complete(struct block_request *request, int result)
{
    struct job *job = (struct job *)request;

    CU_ASSERT_FALSE(job->done);
    job->done = true;
    job->result = result;
}

static void on_batch(void *opaque)
{
    ((struct fixture *)opaque)->batches++;
}

static char *make_image(uint64_t size)
{
    static unsigned number;
    char *path = g_strdup_printf("%s/image%u", folder, number++);
    FILE *file = fopen(path, "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(ftruncate(fileno(file), (off_t)size), 0);
    fclose(file);
    return path;
}

static json_t *file_options(const char *path, const char *more)
{
    json_t *object = json_loads(more, 0, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(object);
    if (!json_object_get(object, "driver")) {
        json_object_set_new(object, "driver", json_string("file"));
        json_object_set_new(object, "filename", json_string(path));
    }
    return object;
}

static void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.base = event_base_new()};
    fixture->registry = block_registry_new(NULL);
}

/* False: the host lacks what was asked for. */
static bool fixture_open(struct fixture *fixture, const char *more)
{
    const struct block_queue_handler handler = {fixture, on_batch};
    g_autoptr(GError) error = NULL;
    json_t *object;

    fixture_init(fixture);
    fixture->path = make_image(IMAGE_SIZE);
    object = file_options(fixture->path, more);
    fixture->backend = block_open(fixture->registry, object, NULL, &error);
    json_decref(object);
    if (fixture->backend) {
        fixture->queue = block_queue_new(fixture->backend, fixture->base, &handler, &error);
    }
    if (!fixture->queue) {
        printf("skipped: %s ... ", error->message);
    }
    return fixture->queue != NULL;
}

static void fixture_close(struct fixture *fixture)
{
    block_queue_free(fixture->queue);
    block_registry_free(fixture->registry);
    event_base_free(fixture->base);
    g_free(fixture->path);
}

static void wait_idle(struct fixture *fixture)
{
    block_queue_kick(fixture->queue);
    while (block_queue_in_flight(fixture->queue)) {
        event_base_loop(fixture->base, EVLOOP_ONCE);
    }
}

static int run(struct fixture *fixture, struct job *job)
{
    job->request.complete = on_complete;
    job->done = false;
    block_queue_submit(fixture->queue, &job->request);
    CU_ASSERT_FALSE(job->done); /* never from within submit */
    wait_idle(fixture);
    CU_ASSERT_TRUE_FATAL(job->done);
    return job->result;
}

static int run_simple(struct fixture *fixture, enum block_operation operation, uint64_t offset,
                      void *buffer, uint64_t length)
{
    struct job job = {.iov = {{buffer, length}}};

    job.request = (struct block_request){
        .operation = operation,
        .offset = offset,
        .length = length,
        .iov = job.iov,
        .iov_count = 1,
    };
    return run(fixture, &job);
}

/* Random requests against a model. */

struct random_run {
    struct fixture *fixture;
    GRand *random;
    uint8_t *model; /* IMAGE_SIZE bytes, what must be read */
    bool *open;     /* per byte: discarded, so that anything may be read */
    uint64_t unit;  /* bytes: offsets and lengths are multiples */
    struct job jobs[BATCH];
};

static bool overlaps(const struct job *jobs, unsigned count, uint64_t offset, uint64_t length)
{
    for (unsigned i = 0; i < count; i++) {
        const struct block_request *other = &jobs[i].request;

        if (offset < other->offset + other->length && other->offset < offset + length) {
            return true;
        }
    }
    return false;
}

/* Cut the buffer of a job in pieces, at odd places too. */
static void cut(struct random_run *run_, struct job *job, uint64_t length)
{
    uint64_t at = (uint64_t)g_rand_int_range(run_->random, 0, 3) * 256, left = length;
    unsigned pieces = (unsigned)g_rand_int_range(run_->random, 1, 6);

    for (unsigned i = 0; i < pieces; i++) {
        uint64_t piece =
            i + 1 == pieces ? left : (uint64_t)g_rand_int_range(run_->random, 0, (int)left + 1);

        job->iov[i] = (struct iovec){job->memory + at, piece};
        at += piece + (uint64_t)g_rand_int_range(run_->random, 0, 2) * 40;
        left -= piece;
    }
    job->request.iov = job->iov;
    job->request.iov_count = pieces;
}

static void fill(struct random_run *run_, struct job *job)
{
    bool zero = g_rand_int_range(run_->random, 0, 5) == 0;

    for (unsigned i = 0; i < job->request.iov_count; i++) {
        uint8_t *bytes = job->iov[i].iov_base;

        for (size_t k = 0; k < job->iov[i].iov_len; k++) {
            bytes[k] = zero ? 0 : (uint8_t)g_rand_int(run_->random);
        }
    }
}

static void invent(struct random_run *run_, struct job *job, unsigned before)
{
    static const enum block_operation operations[] = {
        BLOCK_READ,  BLOCK_READ,  BLOCK_READ,    BLOCK_WRITE,
        BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES,
    };
    enum block_operation operation =
        operations[g_rand_int_range(run_->random, 0, G_N_ELEMENTS(operations))];
    uint64_t units = IMAGE_SIZE / run_->unit, length = 0, offset = 0;

    do {
        uint64_t most = g_rand_int_range(run_->random, 0, 8) ? 20 : units / BATCH;

        offset = (uint64_t)g_rand_int_range(run_->random, 0, (int)units) * run_->unit;
        length = (uint64_t)g_rand_int_range(run_->random, 0, (int)most + 1) * run_->unit;
        length = MIN(length, IMAGE_SIZE - offset);
    } while (overlaps(run_->jobs, before, offset, length));
    job->request = (struct block_request){
        .operation = operation,
        .offset = offset,
        .length = length,
        .complete = on_complete,
        .fua = g_rand_boolean(run_->random),
        .may_unmap = g_rand_boolean(run_->random),
    };
    if (operation == BLOCK_FLUSH) {
        job->request.offset = job->request.length = 0;
    } else if (operation == BLOCK_READ || operation == BLOCK_WRITE) {
        cut(run_, job, length);
        fill(run_, job);
    }
}

static void compare_read(const struct random_run *run_, const struct job *job)
{
    uint64_t at = job->request.offset, wrong = 0;

    for (unsigned i = 0; i < job->request.iov_count; i++) {
        const uint8_t *bytes = job->iov[i].iov_base;

        for (size_t k = 0; k < job->iov[i].iov_len; k++, at++) {
            wrong += !run_->open[at] && bytes[k] != run_->model[at];
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void apply(struct random_run *run_, const struct job *job)
{
    const struct block_request *request = &job->request;
    uint64_t at = request->offset;

    switch (request->operation) {
    case BLOCK_READ:
        compare_read(run_, job);
        break;
    case BLOCK_WRITE:
        for (unsigned i = 0; i < request->iov_count; i++) {
            memcpy(run_->model + at, job->iov[i].iov_base, job->iov[i].iov_len);
            at += job->iov[i].iov_len;
        }
        memset(run_->open + request->offset, false, request->length);
        break;
    case BLOCK_DISCARD:
        memset(run_->open + request->offset, true, request->length);
        break;
    case BLOCK_WRITE_ZEROES:
        memset(run_->model + request->offset, 0, request->length);
        memset(run_->open + request->offset, false, request->length);
        break;
    case BLOCK_FLUSH:
        break;
    }
}

static void run_batch(struct random_run *run_)
{
    unsigned count = (unsigned)g_rand_int_range(run_->random, 1, BATCH + 1);

    for (unsigned i = 0; i < count; i++) {
        invent(run_, &run_->jobs[i], i);
        run_->jobs[i].done = false;
        block_queue_submit(run_->fixture->queue, &run_->jobs[i].request);
    }
    wait_idle(run_->fixture);
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT_TRUE(run_->jobs[i].done);
        CU_ASSERT_EQUAL(run_->jobs[i].result, 0);
        apply(run_, &run_->jobs[i]);
    }
}

static void run_random(const char *options, uint64_t unit)
{
    struct fixture fixture;
    struct random_run run_ = {.fixture = &fixture, .unit = unit};

    if (!fixture_open(&fixture, options)) {
        fixture_close(&fixture);
        return;
    }
    run_.random = test_seeded_rand();
    run_.model = g_malloc0(IMAGE_SIZE);
    run_.open = g_malloc0(IMAGE_SIZE * sizeof(bool));
    for (unsigned i = 0; i < BATCH; i++) {
        CU_ASSERT_EQUAL_FATAL(posix_memalign((void **)&run_.jobs[i].memory, 4096, IMAGE_SIZE / 8),
                              0);
    }
    for (unsigned i = 0; i < 150; i++) {
        run_batch(&run_);
    }
    CU_ASSERT_TRUE(fixture.batches > 0);
    CU_ASSERT_EQUAL(fixture.backend->stats.failed[BLOCK_READ], 0);
    for (unsigned i = 0; i < BATCH; i++) {
        free(run_.jobs[i].memory);
    }
    g_free(run_.model);
    g_free(run_.open);
    g_rand_free(run_.random);
    fixture_close(&fixture);
}

static void test_threads(void)
{
    run_random("{\"aio\": \"threads\", \"discard\": \"unmap\"}", 1);
}

static void test_uring(void)
{
    run_random("{\"aio\": \"io_uring\", \"discard\": \"unmap\"}", 1);
}

static void test_direct_threads(void)
{
    run_random("{\"aio\": \"threads\", \"cache\": {\"direct\": true}, \"discard\": \"unmap\"}",
               512);
}

static void test_direct_odd(void)
{
    /* Nothing is aligned: blocks at the edges are read before they are written. */
    run_random("{\"cache\": {\"direct\": true}}", 100);
}

static void test_write_through(void)
{
    run_random("{\"cache\": {\"writethrough\": true}, \"detect-zeroes\": \"unmap\","
               " \"discard\": \"unmap\"}",
               512);
}

static void test_window(void)
{
    struct fixture fixture;
    uint8_t bytes[1024], seen[1024];
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *text = NULL;
    json_t *object;
    gsize length;

    fixture_init(&fixture);
    path = make_image(8192);
    text = g_strdup_printf("{\"driver\": \"raw\", \"offset\": 1024, \"size\": 2048,"
                           " \"file\": {\"driver\": \"file\", \"filename\": \"%s\"}}",
                           path);
    object = json_loads(text, 0, NULL);
    fixture.backend = block_open(fixture.registry, object, "drive", &error);
    json_decref(object);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.backend);
    CU_ASSERT_EQUAL(block_size(fixture.backend), 2048);
    fixture.queue = block_queue_new(fixture.backend, fixture.base,
                                    &(struct block_queue_handler){&fixture, on_batch}, &error);
    memset(bytes, 'x', sizeof(bytes));
    CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, 1024, bytes, 1024), 0);
    CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, 1025, bytes, 1024), -EINVAL);
    CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, UINT64_MAX - 10, bytes, 1024), -EINVAL);
    CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_READ, 1024, seen, 1024), 0);
    CU_ASSERT_EQUAL(memcmp(bytes, seen, sizeof(bytes)), 0);
    fixture_close(&fixture);
    g_clear_pointer(&text, g_free);
    CU_ASSERT_TRUE(g_file_get_contents(path, &text, &length, NULL));
    CU_ASSERT_EQUAL(length, 8192);
    CU_ASSERT_EQUAL(text[2047], 0);
    CU_ASSERT_EQUAL(text[2048], 'x');
    CU_ASSERT_EQUAL(text[3071], 'x');
    CU_ASSERT_EQUAL(text[3072], 0);
}

static void test_end_of_file(void)
{
    static const char *const ways[] = {"{\"aio\": \"threads\"}", "{}",
                                       "{\"cache\": {\"direct\": true}}"};

    for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
        struct fixture fixture;
        uint8_t bytes[1024];
        json_t *object;

        fixture_init(&fixture);
        fixture.path = make_image(0);
        CU_ASSERT_TRUE(g_file_set_contents(fixture.path, "abc", 3, NULL));
        object = file_options(fixture.path, ways[i]);
        fixture.backend = block_open(fixture.registry, object, NULL, NULL);
        json_decref(object);
        if (!fixture.backend) { /* no O_DIRECT here */
            fixture_close(&fixture);
            continue;
        }
        CU_ASSERT_EQUAL(block_size(fixture.backend), 512);
        fixture.queue = block_queue_new(fixture.backend, fixture.base,
                                        &(struct block_queue_handler){&fixture, NULL}, NULL);
        memset(bytes, 0xee, sizeof(bytes));
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_READ, 0, bytes, 512), 0);
        CU_ASSERT_EQUAL(memcmp(bytes, "abc\0", 4), 0);
        CU_ASSERT_EQUAL(bytes[511], 0);
        CU_ASSERT_EQUAL(bytes[512], 0xee);
        fixture_close(&fixture);
    }
}

/* A driver that fails as it is told. */

static int injected; /* what execute returns; a test's own */

static int failing_execute(struct block_backend *backend, struct block_request *request)
{
    return injected;
}

static bool failing_open(struct block_backend *backend, GError **error)
{
    backend->size = IMAGE_SIZE;
    backend->native_fua = false;
    return true;
}

static const struct block_driver failing_driver = {
    .name = "failing",
    .is_protocol = true,
    .open = failing_open,
    .execute = failing_execute,
};

static void test_errors_arrive(void)
{
    static const int errors[] = {0, -EIO, -ENOSPC};
    struct block_options options = {.werror = g_strdup("stop")};
    struct fixture fixture;
    uint8_t bytes[512] = {0};

    fixture_init(&fixture);
    fixture.backend =
        block_open_driver(fixture.registry, &failing_driver, &options, NULL, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.backend);
    fixture.queue = block_queue_new(fixture.backend, fixture.base,
                                    &(struct block_queue_handler){&fixture, NULL}, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        injected = errors[i];
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_READ, 0, bytes, 512), errors[i]);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, 0, bytes, 512), errors[i]);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_FLUSH, 0, NULL, 0), errors[i]);
    }
    CU_ASSERT_EQUAL(fixture.backend->stats.failed[BLOCK_WRITE], 2);
    CU_ASSERT_EQUAL(fixture.backend->stats.operations[BLOCK_WRITE], 1);
    CU_ASSERT_EQUAL(fixture.backend->stats.bytes[BLOCK_WRITE], 512);
    CU_ASSERT_EQUAL(block_get_policies(fixture.backend).write, BLOCK_ERROR_STOP);
    fixture_close(&fixture);
}

static void test_policies(void)
{
    static const struct {
        enum block_error_policy policy;
        bool is_write;
        int result, settled; /* -ECANCELED: once more when the machine goes on */
    } cases[] = {
        {BLOCK_ERROR_AUTO, true, -ENOSPC, -ECANCELED},
        {BLOCK_ERROR_AUTO, true, -EIO, -EIO},
        {BLOCK_ERROR_AUTO, false, -ENOSPC, -ENOSPC},
        {BLOCK_ERROR_ENOSPC, true, -EIO, -EIO},
        {BLOCK_ERROR_STOP, false, -EIO, -ECANCELED},
        {BLOCK_ERROR_IGNORE, true, -EIO, 0},
        {BLOCK_ERROR_IGNORE, true, -ECANCELED, -ECANCELED},
        {BLOCK_ERROR_REPORT, true, -ENOSPC, -ENOSPC},
        {BLOCK_ERROR_STOP, true, 0, 0},
    };
    enum block_error_policy policy;
    struct fixture fixture;

    if (!fixture_open(&fixture, "{}")) {
        fixture_close(&fixture);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct block_error_policies policies = {cases[i].policy, cases[i].policy};

        CU_ASSERT_EQUAL(
            block_settle_error(fixture.backend, policies, cases[i].is_write, cases[i].result),
            cases[i].settled);
    }
    CU_ASSERT_TRUE(block_error_policy_parse("enospc", true, &policy, NULL));
    CU_ASSERT_FALSE(block_error_policy_parse("enospc", false, &policy, NULL));
    CU_ASSERT_FALSE(block_error_policy_parse("", true, &policy, NULL));
    fixture_close(&fixture);
}

static void test_read_only(void)
{
    struct fixture fixture;
    uint8_t bytes[512] = {1};

    if (fixture_open(&fixture, "{\"read-only\": true}")) {
        CU_ASSERT_TRUE(block_is_read_only(fixture.backend));
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_READ, 0, bytes, 512), 0);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, 0, bytes, 512), -EPERM);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE_ZEROES, 0, NULL, 512), -EPERM);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_FLUSH, 0, NULL, 0), 0);
        CU_ASSERT_FALSE(block_resize(fixture.backend, 4096, NULL));
    }
    fixture_close(&fixture);
}

static void on_resized(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_resize(void)
{
    struct fixture fixture;
    uint8_t bytes[512] = {0};
    unsigned told = 0;
    struct block_user user = {.opaque = &told, .writes = true, .resized = on_resized};

    if (fixture_open(&fixture, "{}")) {
        CU_ASSERT_TRUE(block_attach(fixture.backend, &user, NULL));
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, IMAGE_SIZE, bytes, 512), -EINVAL);
        CU_ASSERT_TRUE(block_resize(fixture.backend, IMAGE_SIZE + 1000, NULL));
        CU_ASSERT_EQUAL(block_size(fixture.backend), IMAGE_SIZE + 512);
        CU_ASSERT_EQUAL(told, 1);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, IMAGE_SIZE, bytes, 512), 0);
        CU_ASSERT_EQUAL(run_simple(&fixture, BLOCK_WRITE, IMAGE_SIZE + 512, bytes, 512), -EINVAL);
        block_detach(fixture.backend);
    }
    fixture_close(&fixture);
}

/* A queue that is freed, and a drain, wait for what is under way. */
static void test_waiting(void)
{
    struct job jobs[16] = {0};
    struct fixture fixture;
    uint8_t bytes[512];

    if (!fixture_open(&fixture, "{\"driver\": \"null-co\", \"latency-ns\": 2000000}")) {
        fixture_close(&fixture);
        return;
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
            jobs[i].done = false;
            jobs[i].iov[0] = (struct iovec){bytes, sizeof(bytes)};
            jobs[i].request = (struct block_request){.operation = BLOCK_WRITE,
                                                     .length = sizeof(bytes),
                                                     .iov = jobs[i].iov,
                                                     .iov_count = 1,
                                                     .complete = on_complete};
            block_queue_submit(fixture.queue, &jobs[i].request);
        }
        block_queue_kick(fixture.queue);
        if (round == 0) {
            block_drain(fixture.backend);
        } else {
            block_queue_free(g_steal_pointer(&fixture.queue));
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
            CU_ASSERT_TRUE(jobs[i].done);
        }
    }
    fixture_close(&fixture);
}

/* Locks. */

static struct block_backend *open_path(struct fixture *fixture, const char *path, const char *more)
{
    json_t *object = file_options(path, more);
    struct block_backend *backend = block_open(fixture->registry, object, NULL, NULL);

    json_decref(object);
    CU_ASSERT_PTR_NOT_NULL_FATAL(backend);
    return backend;
}

static void test_locks(void)
{
    static const struct {
        const char *first, *second;
        bool first_share, second_share, allowed;
    } cases[] = {
        {"{}", "{}", false, false, false},
        {"{}", "{}", true, false, false},
        {"{}", "{}", false, true, false},
        {"{}", "{}", true, true, true},
        {"{\"read-only\": true}", "{\"read-only\": true}", false, false, true},
        {"{}", "{\"read-only\": true}", false, false, false},
        {"{\"read-only\": true}", "{}", false, false, false},
        {"{}", "{\"read-only\": true, \"force-share\": true}", false, false, true},
        {"{}", "{\"locking\": \"off\"}", false, false, true},
        {"{\"locking\": \"off\"}", "{}", false, false, true},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = make_image(4096);
        g_autoptr(GError) error = NULL;
        struct block_user users[2];
        struct block_backend *first, *second;
        struct fixture fixture;
        bool attached;

        fixture_init(&fixture);
        /* Two open file descriptions, as of two processes. */
        first = open_path(&fixture, path, cases[i].first);
        second = open_path(&fixture, path, cases[i].second);
        users[0] = (struct block_user){.writes = !block_is_read_only(first),
                                       .share_rw = cases[i].first_share};
        users[1] = (struct block_user){.writes = !block_is_read_only(second),
                                       .share_rw = cases[i].second_share};
        CU_ASSERT_TRUE(block_attach(first, &users[0], NULL));
        attached = block_attach(second, &users[1], &error);
        CU_ASSERT_EQUAL(attached, cases[i].allowed);
        if (attached) {
            block_detach(second);
        } else {
            CU_ASSERT_PTR_NOT_NULL(strstr(error->message, path));
        }
        block_detach(first);
        /* The first one's lock is gone with it. */
        CU_ASSERT_TRUE(block_attach(second, &users[1], NULL));
        block_detach(second);
        fixture_close(&fixture);
    }
}

static void test_one_user(void)
{
    struct block_user user = {.writes = true, .device_id = "dev"};
    struct block_user other = {.writes = true};
    g_autoptr(GError) error = NULL;
    struct fixture fixture;

    if (fixture_open(&fixture, "{\"node-name\": \"n\"}")) {
        CU_ASSERT_TRUE(block_attach(fixture.backend, &user, NULL));
        CU_ASSERT_FALSE(block_attach(fixture.backend, &other, &error));
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "dev"));
        CU_ASSERT_FALSE(block_delete(fixture.registry, "n", NULL));
        CU_ASSERT_FALSE(block_delete(fixture.registry, "m", NULL));
        CU_ASSERT_PTR_NOT_NULL(block_find(fixture.registry, "n", NULL));
        block_detach(fixture.backend);
        block_queue_free(g_steal_pointer(&fixture.queue));
        CU_ASSERT_TRUE(block_delete(fixture.registry, "n", NULL));
        CU_ASSERT_PTR_NULL(block_find(fixture.registry, "n", NULL));
    }
    fixture_close(&fixture);
}

static void test_names_are_unique(void)
{
    struct fixture fixture;
    json_t *object = json_pack("{s:s, s:s}", "driver", "null-co", "node-name", "n");
    json_t *window = json_pack("{s:s, s:s, s:s}", "driver", "raw", "node-name", "w", "file", "n");

    fixture_init(&fixture);
    CU_ASSERT_PTR_NOT_NULL(block_open(fixture.registry, object, "d", NULL));
    CU_ASSERT_PTR_NULL(block_open(fixture.registry, object, NULL, NULL));
    CU_ASSERT_PTR_NOT_NULL(block_open(fixture.registry, window, NULL, NULL));
    CU_ASSERT_FALSE(block_delete(fixture.registry, "n", NULL)); /* used by w, and a drive's */
    CU_ASSERT_TRUE(block_delete(fixture.registry, "w", NULL));
    json_decref(object);
    json_decref(window);
    fixture_close(&fixture);
}

static void test_format_guess(void)
{
    static const struct {
        const char *bytes;
        unsigned length;
        bool refused;
    } cases[] = {{"QFI\xfb", 4, true},
                 {"KDMV", 4, true},
                 {"vhdxfile", 8, true},
                 {"plain", 5, false},
                 {"", 0, false}};

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = make_image(0);
        struct fixture fixture;

        fixture_init(&fixture);
        g_file_set_contents(path, cases[i].bytes, cases[i].length, NULL);
        for (unsigned guessed = 0; guessed < 2; guessed++) {
            json_t *object =
                json_pack("{s:s, s:b, s:{s:s, s:s}}", "driver", "raw", "format-guessed", guessed,
                          "file", "driver", "file", "filename", path);
            struct block_backend *backend = block_open(fixture.registry, object, NULL, NULL);

            CU_ASSERT_EQUAL(backend == NULL, guessed && cases[i].refused);
            json_decref(object);
        }
        fixture_close(&fixture);
    }
}

static const struct unit_test tests[] = {
    {"random requests, threads", test_threads},
    {"random requests, io_uring", test_uring},
    {"random requests, O_DIRECT", test_direct_threads},
    {"random requests, O_DIRECT, nothing aligned", test_direct_odd},
    {"random requests, written through", test_write_through},
    {"a window of a file", test_window},
    {"the end of a file reads as zeroes", test_end_of_file},
    {"errors arrive", test_errors_arrive},
    {"what an error leads to", test_policies},
    {"read-only", test_read_only},
    {"resize", test_resize},
    {"drain and end wait", test_waiting},
    {"locks", test_locks},
    {"one user at a time", test_one_user},
    {"names are unique", test_names_are_unique},
    {"other formats are not taken as raw", test_format_guess},
    {NULL, NULL},
};

int main(void)
{
    int status;

    evthread_use_pthreads();
    folder = g_dir_make_tmp("duodm-block-XXXXXX", NULL);
    status = unit_run("block", tests);
    {
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(folder, name, NULL);

            g_unlink(path);
        }
    }
    g_rmdir(folder);
    g_free(folder);
    return status;
}
