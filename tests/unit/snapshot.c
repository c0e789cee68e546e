/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots in the small: checksums, records, sets of descriptors, devices of a machine as a whole.
 */
#include "dm/fd-set.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/snapshot/device-state.h"
#include "dm/snapshot/migration-private.h"
#include "memory/ram-windows.h"
#include "unit/fixture.h"
#include "util/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_crc32c(void)
{
    uint8_t bytes[32];

    CU_ASSERT_EQUAL(crc32c(0, "123456789", 9), 0xe3069283u); /* the polynomial's check value */
    memset(bytes, 0, sizeof(bytes));
    CU_ASSERT_EQUAL(crc32c(0, bytes, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    memset(bytes, 0xff, sizeof(bytes));
    CU_ASSERT_EQUAL(crc32c(0, bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)i;
    }
    CU_ASSERT_EQUAL(crc32c(0, bytes, 32), 0x46dd794eu);
    for (unsigned cut = 0; cut <= 32; cut++) {
        CU_ASSERT_EQUAL(crc32c(crc32c(0, bytes, cut), bytes + cut, 32 - cut), 0x46dd794eu);
    }
}

static int make_file(void)
{
    return memfd_create("test", MFD_CLOEXEC);
}

static void test_records(void)
{
    struct snapshot_channel channel = {.fd = make_file(), .cancel_fd = eventfd(0, 0)};
    struct snapshot_record record;
    g_autoptr(GError) error = NULL;
    uint8_t payload[5], byte;

    CU_ASSERT_TRUE(snapshot_write(&channel, SNAPSHOT_PAGES, 0x1122334455667788, "hello", 5, NULL));
    CU_ASSERT_TRUE(snapshot_write(&channel, SNAPSHOT_END, 0, NULL, 0, NULL));
    CU_ASSERT_EQUAL(channel.bytes, 2 * SNAPSHOT_RECORD_SIZE + 5);
    lseek(channel.fd, 0, SEEK_SET);
    CU_ASSERT_TRUE_FATAL(snapshot_read_record(&channel, &record, NULL));
    CU_ASSERT_EQUAL(record.type, SNAPSHOT_PAGES);
    CU_ASSERT_EQUAL(record.argument, 0x1122334455667788);
    CU_ASSERT_EQUAL_FATAL(record.length, 5);
    CU_ASSERT_TRUE(snapshot_read(&channel, payload, 5, NULL));
    CU_ASSERT_TRUE(snapshot_check_payload(&record, payload, NULL));
    payload[2] ^= 1;
    CU_ASSERT_FALSE(snapshot_check_payload(&record, payload, NULL));
    CU_ASSERT_TRUE(snapshot_read_record(&channel, &record, NULL));
    CU_ASSERT_EQUAL(record.type, SNAPSHOT_END);
    CU_ASSERT_FALSE(snapshot_read(&channel, &byte, 1, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "too soon"));
    close(channel.fd);
    close(channel.cancel_fd);
}

/* Each bit of a record's head is checked. */
static void test_altered_records(void)
{
    struct snapshot_channel channel = {.fd = make_file(), .cancel_fd = -1};
    uint8_t head[SNAPSHOT_RECORD_SIZE];
    struct snapshot_record record;

    CU_ASSERT_TRUE(snapshot_write(&channel, SNAPSHOT_HEAD, 1, NULL, 0, NULL));
    CU_ASSERT_EQUAL_FATAL(pread(channel.fd, head, sizeof(head), 0), (ssize_t)sizeof(head));
    CU_ASSERT_TRUE(snapshot_parse_record(head, &record, NULL));
    for (unsigned bit = 0; bit < sizeof(head) * 8; bit++) {
        head[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CU_ASSERT_FALSE(snapshot_parse_record(head, &record, NULL));
        head[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    close(channel.fd);
}

static void test_cancelled(void)
{
    int pipe_fds[2];
    struct snapshot_channel channel = {.cancel_fd = eventfd(0, 0)};
    g_autoptr(GError) error = NULL;
    uint8_t byte;

    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    channel.fd = pipe_fds[0];
    eventfd_write(channel.cancel_fd, 1);
    CU_ASSERT_FALSE(snapshot_read(&channel, &byte, 1, &error)); /* nothing would ever come */
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "cancelled"));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(channel.cancel_fd);
}

/* Descriptors. */

static void test_sets(void)
{
    struct fd_registry *registry = fd_registry_new();
    int read_only = open("/dev/null", O_RDONLY), both = open("/dev/null", O_RDWR), fd;

    CU_ASSERT_EQUAL(fd_registry_add(registry, -1, read_only, "note", NULL), 0);
    CU_ASSERT_EQUAL(fd_registry_add(registry, 0, both, NULL, NULL), 0);
    CU_ASSERT_EQUAL(fd_registry_add(registry, 7, dup(both), NULL, NULL), 7);
    CU_ASSERT_EQUAL(fd_registry_add(registry, -1, dup(both), NULL, NULL), 1);
    fd = fd_registry_open(registry, "/dev/fdset/0", O_RDWR, 0);
    CU_ASSERT_TRUE(fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
    CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    CU_ASSERT_TRUE(fd_registry_open(registry, "/dev/fdset/0", O_WRONLY, 0) < 0 && errno == EACCES);
    CU_ASSERT_TRUE(fd_registry_open(registry, "/dev/fdset/2", O_RDONLY, 0) < 0 && errno == ENOENT);
    CU_ASSERT_TRUE(fd_registry_open(registry, "/dev/fdset/", O_RDONLY, 0) < 0 && errno == ENOENT);
    CU_ASSERT_TRUE(fd_registry_open(registry, "/dev/fdset/x", O_RDONLY, 0) < 0 && errno == ENOENT);
    CU_ASSERT_TRUE(fd_registry_open(NULL, "/dev/fdset/0", O_RDONLY, 0) < 0 && errno == ENOENT);
    fd = fd_registry_open(NULL, "/dev/zero", O_RDONLY, 0);
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
    CU_ASSERT_FALSE(fd_registry_remove(registry, 0, 9999, NULL));
    CU_ASSERT_TRUE(fd_registry_remove(registry, 0, both, NULL));
    CU_ASSERT_TRUE(fd_registry_open(registry, "/dev/fdset/0", O_RDWR, 0) < 0);
    CU_ASSERT_TRUE(fd_registry_remove(registry, 0, -1, NULL));
    CU_ASSERT_FALSE(fd_registry_remove(registry, 0, -1, NULL));
    fd_registry_free(registry);
}

static void test_names(void)
{
    struct fd_registry *registry = fd_registry_new();
    int fd = open("/dev/null", O_RDONLY);

    CU_ASSERT_TRUE(fd_registry_take_named(registry, "x", NULL) < 0);
    fd_registry_put_named(registry, "x", open("/dev/zero", O_RDONLY));
    fd_registry_put_named(registry, "x", fd);
    CU_ASSERT_EQUAL(fd_registry_take_named(registry, "x", NULL), fd);
    CU_ASSERT_TRUE(fd_registry_take_named(registry, "x", NULL) < 0);
    close(fd);
    fd_registry_free(registry);
}

/* A machine's devices; its engine has nothing to say of its vCPU. */

static const struct state_field no_fields[] = {STATE_END};
static const struct state_description vcpu_state = {
    .name = "no-vcpu", .version = 1, .fields = no_fields};

static bool save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error)
{
    state_save(stream, &vcpu_state, vcpu, "0");
    return true;
}

static bool load_vcpu(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                      GError **error)
{
    return state_load(stream, length, &vcpu_state, vcpu, "0", consumed, error);
}

static const struct engine_ops engine = {
    .name = "fixture",
    .has_vcpus = true,
    .resume = fixture_ignore,
    .pause = fixture_ignore,
    .reset_vcpu = fixture_ignore_vcpu,
    .save_vcpu = save_vcpu,
    .load_vcpu = load_vcpu,
    .vcpu_state = &vcpu_state,
};

static struct fixture *make_machine_of(unsigned smp)
{
    struct fixture *f = fixture_new(smp);

    f->machine->engine = &engine;
    fixture_add(f, "i8259", NULL, NULL);
    fixture_add(f, "ioapic", NULL, NULL);
    fixture_add(f, "i8254", NULL, NULL);
    fixture_add(f, "mc146818rtc", NULL, NULL);
    fixture_add(f, "isa-serial", NULL, NULL);
    return f;
}

static struct fixture *make_machine(void)
{
    return make_machine_of(1);
}

/* Whose section a byte of a state is in ("name 'instance'"), and where the section's contents
 * begin: what comes before says whose it is, too. */
static char *owner_of(const GByteArray *state, size_t at, size_t *contents)
{
    size_t start = 0, consumed;

    while (true) {
        g_autofree char *name = NULL, *instance = NULL;

        g_assert(
            state_peek(state->data + start, state->len - start, &name, &instance, &consumed, NULL));
        if (at < start + consumed) {
            *contents = start + 12 + 2 + strlen(name) + strlen(instance);
            return g_strdup_printf("%s '%s'", name, instance);
        }
        start += consumed;
    }
}

static void test_every_truncation_and_flip(void)
{
    struct fixture *f = make_machine();
    g_autoptr(GByteArray) state = g_byte_array_new(), after = g_byte_array_new();
    size_t contents;
    bool was_running;

    CU_ASSERT_TRUE_FATAL(device_state_save(f->machine, true, state, NULL));
    for (unsigned length = 0; length < state->len; length++) {
        g_autofree uint8_t *cut = g_memdup2(state->data, length); /* for ASan */
        g_autofree char *owner = owner_of(state, length, &contents);
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE_FATAL(device_state_load(f->machine, cut, length, &was_running, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_TRUE_FATAL(length < contents || strstr(error->message, owner));
    }
    for (unsigned at = 0; at < state->len; at++) {
        g_autofree char *owner = owner_of(state, at, &contents);
        g_autoptr(GError) error = NULL;
        uint8_t bit = (uint8_t)(1u << at % 8);

        state->data[at] ^= bit;
        CU_ASSERT_FALSE_FATAL(
            device_state_load(f->machine, state->data, state->len, &was_running, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_TRUE_FATAL(at < contents || strstr(error->message, owner));
        state->data[at] ^= bit;
    }
    CU_ASSERT_TRUE(device_state_save(f->machine, true, after, NULL));
    CU_ASSERT_TRUE(after->len == state->len && !memcmp(after->data, state->data, state->len));
    CU_ASSERT_TRUE(device_state_load(f->machine, state->data, state->len, &was_running, NULL));
    CU_ASSERT_TRUE(was_running);
    fixture_free(f);
}

static void save_devices(const struct machine *machine, GByteArray *stream)
{
    const struct bus *const buses[] = {machine->system_bus, machine->isa_bus};

    for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++) {
        for (unsigned k = 0; k < buses[i]->children->len; k++) {
            device_save_state(g_ptr_array_index(buses[i]->children, k), stream);
        }
    }
}

/* Interrupt lines as their senders drive them: a controller is not told of what was before. */
static void test_lines_and_time(void)
{
    struct fixture *from = make_machine(), *to = make_machine();
    g_autoptr(GByteArray) state = g_byte_array_new(), again = g_byte_array_new();
    bool was_running;

    out8(from, 0x43, 0x34); /* the timer: every 1000 ticks */
    out8(from, 0x40, 1000 & 0xff);
    out8(from, 0x40, 1000 >> 8);
    fixture_advance(from, 123456789);
    CU_ASSERT_TRUE_FATAL(device_state_save(from->machine, false, state, NULL));
    CU_ASSERT_TRUE_FATAL(
        device_state_load(to->machine, state->data, state->len, &was_running, NULL));
    CU_ASSERT_FALSE(was_running);
    CU_ASSERT_EQUAL(machine_clock_now(to->machine->clock), 123456789);
    to->gsi[0].rises = from->gsi[0].rises;
    fixture_advance(from, 50000000);
    fixture_advance(to, 50000000);
    CU_ASSERT_EQUAL(to->gsi[0].rises, from->gsi[0].rises);
    CU_ASSERT_EQUAL(to->gsi[0].last_rise, from->gsi[0].last_rise);
    g_byte_array_set_size(state, 0);
    save_devices(from->machine, state);
    save_devices(to->machine, again);
    CU_ASSERT_TRUE(state->len == again->len && !memcmp(state->data, again->data, state->len));
    fixture_free(from);
    fixture_free(to);
}

/* An engine that has the memory, as Xen has: it is told of writes while somebody else sends it. */
static uint8_t window[SNAPSHOT_PAGE];

static void *find_window(void *opaque, uint64_t offset, uint64_t *length, bool is_write)
{
    *length = MIN(*length, SNAPSHOT_PAGE - offset % SNAPSHOT_PAGE);
    return window + offset % SNAPSHOT_PAGE;
}

static void *pin_window(void *opaque, uint64_t offset, uint64_t *length, bool is_write,
                        void **handle)
{
    return find_window(opaque, offset, length, is_write);
}

static void unpin_window(void *opaque, void *handle)
{
}

static const struct ram_windows windows = {find_window, pin_window, unpin_window, NULL};

static struct fixture *make_windowed_machine(void)
{
    struct fixture *f = make_machine();

    memory_region_init_windowed_ram(&f->machine->ram, "xen.ram", 16 * SNAPSHOT_PAGE, &windows,
                                    NULL);
    memory_region_add_subregion(&f->machine->system_memory, 0, &f->machine->ram);
    return f;
}

static void set_dirty_log(struct machine *machine, bool on)
{
    struct qmp_context context = {.machine = machine};
    json_t *arguments = json_pack("{s:b}", "enable", on);
    json_t *reply = qmp_xen_set_global_dirty_log(&context, arguments, NULL);

    CU_ASSERT_PTR_NOT_NULL(reply);
    json_decref(reply);
    json_decref(arguments);
}

static bool is_noted(struct machine *machine)
{
    CU_ASSERT_EQUAL(
        address_space_store(&machine->as_memory, 2 * SNAPSHOT_PAGE, 4, MEMORY_ATTRIBUTES_CPU, 1),
        MEMORY_OK);
    return memory_region_test_dirty(&machine->ram, 2 * SNAPSHOT_PAGE, 4, DIRTY_MIGRATION, true);
}

static const struct engine_ops attaching_engine = {
    .name = "fixture",
    .has_vcpus = true,
    .attaches = true,
    .resume = fixture_ignore,
    .pause = fixture_ignore,
    .reset_vcpu = fixture_ignore_vcpu,
};

/* vCPUs that are others', too, are not in the state, nor is their number, which may have changed.
 */
static void test_vcpus_of_others(void)
{
    struct fixture *from = make_machine(), *to = make_machine_of(2);
    g_autoptr(GByteArray) state = g_byte_array_new();
    bool was_running = false;

    from->machine->engine = to->machine->engine = &attaching_engine;
    CU_ASSERT_TRUE_FATAL(device_state_save(from->machine, true, state, NULL));
    CU_ASSERT_TRUE(device_state_load(to->machine, state->data, state->len, &was_running, NULL));
    CU_ASSERT_TRUE(was_running);
    fixture_free(from);
    fixture_free(to);
}

static void test_dirty_log_for_others(void)
{
    struct fixture *f = make_windowed_machine();

    CU_ASSERT_FALSE(is_noted(f->machine));
    set_dirty_log(f->machine, true);
    CU_ASSERT_TRUE(is_noted(f->machine));
    set_dirty_log(f->machine, true);
    CU_ASSERT_TRUE(is_noted(f->machine));
    set_dirty_log(f->machine, false);
    CU_ASSERT_FALSE(is_noted(f->machine));
    fixture_free(f);
}

static void test_memory_of_others(void)
{
    struct fixture *f = make_windowed_machine();
    uint8_t head[] = "\7xen.ram\0\0\1\0\0\0\0\0";
    g_autoptr(GError) error = NULL;

    CU_ASSERT_FALSE(migration_start(f->machine->migration, "file:/dev/null", &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "not duodm's to send"));
    g_clear_error(&error);
    CU_ASSERT_FALSE(snapshot_receive_head(f->machine, head, sizeof(head) - 1, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(error->message, "not duodm's to receive"));
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"CRC-32C", test_crc32c},
        {"records", test_records},
        {"altered records", test_altered_records},
        {"cancelled", test_cancelled},
        {"sets of descriptors", test_sets},
        {"descriptors by name", test_names},
        {"every truncation and flip", test_every_truncation_and_flip},
        {"lines and time", test_lines_and_time},
        {"vCPUs of others", test_vcpus_of_others},
        {"dirty log for others", test_dirty_log_for_others},
        {"memory of others", test_memory_of_others},
        {NULL, NULL},
    };

    return unit_run("snapshot", tests);
}
