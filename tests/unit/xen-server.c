/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ioreq server's threads, on a Xen that is a table of functions here: event channels with a
 * pending and a mask bit each, as Linux's /dev/xen/evtchn shows them, and the two shared pages.
 */
#include "backend-xen/ioreq.h"
#include "backend-xen/xen-machine.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <sched.h>

#define VCPUS     2
#define PORTS     32
#define PORT_BASE 0x100 /* of the registers that requests go to; one for each vCPU */
#define REQUESTS  2000

/* ---- Xen ---- */

struct fake_port {
    xenevtchn_handle *owner;
    unsigned peer; /* what a notification of it makes pending; 0: the domain hears */
    bool pending, masked;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_port ports[PORTS]; /* the first is none */
    unsigned port_count;
    unsigned answers[PORTS]; /* notifications that the domain heard, by port */
    uint8_t pages[2 * XEN_PAGE_SIZE] __attribute__((aligned(4096)));
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .port_count = 1};

static struct shared_iopage *fake_requests(void)
{
    return (struct shared_iopage *)(void *)(fake.pages + XEN_PAGE_SIZE);
}

static xenevtchn_handle *evtchn_open(struct xentoollog_logger *logger, unsigned flags)
{
    return g_malloc(1); /* only its address counts */
}

static int evtchn_close(xenevtchn_handle *handle)
{
    g_free(handle);
    return 0;
}

static unsigned add_port(xenevtchn_handle *handle, unsigned peer)
{
    unsigned port;

    pthread_mutex_lock(&fake.lock);
    port = fake.port_count++;
    fake.ports[port] = (struct fake_port){handle, peer, false, false};
    pthread_mutex_unlock(&fake.lock);
    return port;
}

static xenevtchn_port_or_error_t evtchn_bind_unbound(xenevtchn_handle *handle, uint32_t domain)
{
    return (int)add_port(handle, 0);
}

/* To this domain: the port's other end. To the other: it has an end of its own. */
static xenevtchn_port_or_error_t evtchn_bind(xenevtchn_handle *handle, uint32_t domain,
                                             evtchn_port_t remote)
{
    return (int)add_port(handle, domain == DOMID_SELF ? remote : 0);
}

static void make_pending(unsigned port)
{
    fake.ports[port].pending = true;
    pthread_cond_broadcast(&fake.changed);
}

static int evtchn_notify(xenevtchn_handle *handle, evtchn_port_t port)
{
    pthread_mutex_lock(&fake.lock);
    if (fake.ports[port].peer) {
        make_pending(fake.ports[port].peer);
    } else {
        fake.answers[port]++;
    }
    pthread_mutex_unlock(&fake.lock);
    return 0;
}

static xenevtchn_port_or_error_t evtchn_pending(xenevtchn_handle *handle)
{
    pthread_mutex_lock(&fake.lock);
    for (;;) {
        for (unsigned i = 1; i < fake.port_count; i++) {
            struct fake_port *port = &fake.ports[i];

            if (port->owner == handle && port->pending && !port->masked) {
                port->pending = false;
                port->masked = true;
                pthread_mutex_unlock(&fake.lock);
                return (int)i;
            }
        }
        pthread_cond_wait(&fake.changed, &fake.lock);
    }
}

static int evtchn_unmask(xenevtchn_handle *handle, evtchn_port_t port)
{
    pthread_mutex_lock(&fake.lock);
    fake.ports[port].masked = false;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
    return 0;
}

static xenforeignmemory_resource_handle *map_resource(xenforeignmemory_handle *memory,
                                                      domid_t domain, unsigned type, unsigned id,
                                                      unsigned long frame, unsigned long count,
                                                      void **address, int protection, int flags)
{
    *address = fake.pages;
    return (void *)fake.pages;
}

static int unmap_resource(xenforeignmemory_handle *memory,
                          xenforeignmemory_resource_handle *resource)
{
    return 0;
}

static int create_server(xendevicemodel_handle *devices, domid_t domain, int buffered,
                         ioservid_t *server)
{
    *server = 1;
    return 0;
}

static int get_server_info(xendevicemodel_handle *devices, domid_t domain, ioservid_t server,
                           xen_pfn_t *page, xen_pfn_t *buffered_page, evtchn_port_t *port)
{
    *port = 1;
    return 0;
}

static int set_server_state(xendevicemodel_handle *devices, domid_t domain, ioservid_t server,
                            int enabled)
{
    return 0;
}

static int destroy_server(xendevicemodel_handle *devices, domid_t domain, ioservid_t server)
{
    return 0;
}

static void replace_xen(void)
{
    xen_libraries = (struct xen_libraries){
        .xenevtchn_open = evtchn_open,
        .xenevtchn_close = evtchn_close,
        .xenevtchn_bind_unbound_port = evtchn_bind_unbound,
        .xenevtchn_bind_interdomain = evtchn_bind,
        .xenevtchn_notify = evtchn_notify,
        .xenevtchn_pending = evtchn_pending,
        .xenevtchn_unmask = evtchn_unmask,
        .xenforeignmemory_map_resource = map_resource,
        .xenforeignmemory_unmap_resource = unmap_resource,
        .xendevicemodel_create_ioreq_server = create_server,
        .xendevicemodel_get_ioreq_server_info = get_server_info,
        .xendevicemodel_set_ioreq_server_state = set_server_state,
        .xendevicemodel_destroy_ioreq_server = destroy_server,
    };
}

/* ---- The machine, with a register for each vCPU that counts what is written to it ---- */

struct server_test {
    struct fake_engine engine;
    struct machine *machine;
    struct xen_machine xen;
    struct memory_region registers;
    uint32_t last[VCPUS]; /* atomic: what came last */
    unsigned wrong;       /* atomic: values that were not the next one */
    uint32_t hold_at;     /* a value that asks for something to be done before the vCPU goes on */
};

static enum memory_result register_write(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t value)
{
    struct server_test *test = opaque;
    uint32_t before =
        __atomic_exchange_n(&test->last[offset / 4], (uint32_t)value, __ATOMIC_RELAXED);

    if (value != before + 1) {
        __atomic_fetch_add(&test->wrong, 1, __ATOMIC_RELAXED);
    }
    if (value == test->hold_at) {
        __atomic_store_n(&test->machine->vcpus_held, true, __ATOMIC_RELEASE);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops register_ops = {.write = register_write,
                                                      .valid = {4, 4, false}};

static void server_test_init(struct server_test *test, uint32_t poll_us)
{
    *test = (struct server_test){.hold_at = UINT32_MAX};
    replace_xen();
    memset(fake.pages, 0, sizeof(fake.pages));
    memset(fake.answers, 0, sizeof(fake.answers));
    fake.port_count = 1;
    test->machine = fake_machine_new(&test->engine);
    test->machine->engine_data = &test->xen;
    memory_region_init_mmio(&test->registers, "registers", 4 * VCPUS, &register_ops, test, NULL);
    memory_region_add_subregion(&test->machine->system_io, PORT_BASE, &test->registers);
    test->xen.machine = test->machine;
    test->xen.domid = 7;
    test->xen.poll_us = poll_us;
    test->xen.paused = true;
    test->xen.vcpu_count = VCPUS;
    test->xen.vcpus = g_new0(struct xen_vcpu, VCPUS);
    pthread_mutex_init(&test->xen.lock, NULL);
    pthread_mutex_init(&test->xen.buffer_lock, NULL);
    pthread_cond_init(&test->xen.changed, NULL);
    CU_ASSERT_FATAL(xen_create_server(&test->xen, NULL));
    CU_ASSERT_FATAL(xen_start_threads(&test->xen, NULL));
    xen_resume(test->machine);
}

static void server_test_clear(struct server_test *test)
{
    xen_quit_threads(&test->xen);
    xen_destroy_server(&test->xen);
    g_free(test->xen.vcpus);
    test->machine->engine_data = &test->engine;
    memory_region_remove_subregion(&test->machine->system_io, &test->registers);
    memory_region_destroy(&test->registers);
    fake_machine_free(test->machine);
}

/* ---- The domain ---- */

static uint32_t *state_word(unsigned vcpu)
{
    return (uint32_t *)(void *)((uint8_t *)&fake_requests()->vcpu_ioreq[vcpu] + 28);
}

static void set_state(unsigned vcpu, struct ioreq request, unsigned state)
{
    uint32_t word;

    request.state = state & 0xf;
    memcpy(&word, (uint8_t *)&request + 28, sizeof(word));
    __atomic_store_n(state_word(vcpu), word, __ATOMIC_RELEASE);
}

/* As Xen does before it notifies. */
static void place_request(unsigned vcpu, uint32_t value)
{
    struct ioreq request = {
        .addr = PORT_BASE + 4 * vcpu, .data = value, .count = 1, .size = 4, .type = IOREQ_TYPE_PIO};
    struct ioreq *slot = &fake_requests()->vcpu_ioreq[vcpu];

    memcpy(slot, &request, offsetof(struct ioreq, vp_eport));
    set_state(vcpu, request, STATE_IOREQ_READY);
}

static void send_request(struct server_test *test, unsigned vcpu, uint32_t value)
{
    place_request(vcpu, value);
    pthread_mutex_lock(&fake.lock);
    make_pending(test->xen.vcpus[vcpu].channel.port);
    pthread_mutex_unlock(&fake.lock);
}

static bool is_answered(unsigned vcpu)
{
    uint32_t word = __atomic_load_n(state_word(vcpu), __ATOMIC_ACQUIRE);
    struct ioreq copy;

    memcpy((uint8_t *)&copy + 28, &word, sizeof(word));
    return copy.state == STATE_IORESP_READY;
}

static void wait_for_answer(unsigned vcpu)
{
    while (!is_answered(vcpu)) {
        sched_yield();
    }
}

struct fake_vcpu {
    struct server_test *test;
    unsigned index;
    pthread_t thread;
};

static void *run_vcpu(void *opaque)
{
    const struct fake_vcpu *vcpu = opaque;

    for (uint32_t value = 1; value <= REQUESTS; value++) {
        send_request(vcpu->test, vcpu->index, value);
        wait_for_answer(vcpu->index);
    }
    return NULL;
}

static void start_vcpus(struct server_test *test, struct fake_vcpu vcpus[VCPUS])
{
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i] = (struct fake_vcpu){.test = test, .index = i};
        CU_ASSERT_FATAL(pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]) == 0);
    }
}

static void join_vcpus(struct server_test *test, struct fake_vcpu vcpus[VCPUS])
{
    for (unsigned i = 0; i < VCPUS; i++) {
        pthread_join(vcpus[i].thread, NULL);
    }
    xen_pause(test->machine); /* what follows the last answer is done, too */
    for (unsigned i = 0; i < VCPUS; i++) {
        CU_ASSERT_EQUAL(test->last[i], REQUESTS);
        CU_ASSERT_EQUAL(fake.answers[test->xen.vcpus[i].channel.port], REQUESTS);
    }
    CU_ASSERT_EQUAL(test->wrong, 0);
}

/* Each request is carried out and answered once, whenever its thread falls asleep. */
static void test_bursts(void)
{
    const uint32_t polls[] = {0, 1, 50};

    for (unsigned i = 0; i < G_N_ELEMENTS(polls); i++) {
        struct server_test test;
        struct fake_vcpu vcpus[VCPUS];

        server_test_init(&test, polls[i]);
        start_vcpus(&test, vcpus);
        join_vcpus(&test, vcpus);
        CU_ASSERT(polls[i] || !test.xen.vcpus[0].channel.watched);
        server_test_clear(&test);
    }
}

/* While its thread watches, a request is found without an event, and a pause does not wait. */
static void test_watched(void)
{
    struct server_test test;

    server_test_init(&test, UINT32_MAX);
    send_request(&test, 0, 1);
    for (uint32_t value = 2; value <= 10; value++) {
        wait_for_answer(0);
        place_request(0, value);
    }
    wait_for_answer(0);
    xen_pause(test.machine);
    CU_ASSERT_EQUAL(test.last[0], 10);
    /* A thread that had yet to begin found the first by itself; its event then led to the second.
     */
    CU_ASSERT(test.xen.vcpus[0].channel.watched >= 8);
    CU_ASSERT_EQUAL(fake.answers[test.xen.vcpus[0].channel.port], 10);
    xen_resume(test.machine);
    send_request(&test, 0, 11);
    wait_for_answer(0);
    server_test_clear(&test);
}

static void test_pauses_between(void)
{
    struct server_test test;
    struct fake_vcpu vcpus[VCPUS];

    server_test_init(&test, 20);
    start_vcpus(&test, vcpus);
    for (unsigned i = 0; i < 100; i++) {
        uint32_t before;

        xen_pause(test.machine);
        before = __atomic_load_n(&test.last[0], __ATOMIC_RELAXED);
        sched_yield();
        CU_ASSERT_EQUAL(__atomic_load_n(&test.last[0], __ATOMIC_RELAXED), before);
        xen_resume(test.machine);
    }
    join_vcpus(&test, vcpus);
    server_test_clear(&test);
}

/* A request whose consequence comes first is answered when the machine goes on, not before. */
static void test_held_answer(void)
{
    struct server_test test;

    server_test_init(&test, 0);
    test.hold_at = 2;
    send_request(&test, 0, 1);
    wait_for_answer(0);
    send_request(&test, 0, 2);
    while (__atomic_load_n(&test.last[0], __ATOMIC_RELAXED) != 2) {
        sched_yield();
    }
    xen_pause(test.machine); /* its threads are at rest */
    CU_ASSERT_FALSE(is_answered(0));
    __atomic_store_n(&test.machine->vcpus_held, false, __ATOMIC_RELEASE);
    xen_resume(test.machine);
    wait_for_answer(0);
    CU_ASSERT_EQUAL(test.last[0], 2);
    server_test_clear(&test);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"bursts", test_bursts},
        {"requests that are watched for", test_watched},
        {"pauses between requests", test_pauses_between},
        {"an answer that is held back", test_held_answer},
        {NULL, NULL},
    };

    return unit_run("xen-server", tests);
}
