/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random requests to a virtio-iommu, hotplug, and host calls that fail, against a naive model: one
 * array of pages for each domain. After each step all agree, and who was refused is as it was. */
#include "unit/suite.h"
#include "unit/virtio-iommu-fixture.h"

#define R  VIRTIO_IOMMU_MAP_READ
#define W  VIRTIO_IOMMU_MAP_WRITE
#define RW (R | W)

#define NAIVE_DOMAINS 4
#define NAIVE_PAGES   24
#define NAIVE_STEPS   40000

struct naive_page {
    unsigned first, pages, target, access; /* access 0: not mapped */
};
struct naive_domain {
    bool bypass;
    struct naive_page pages[NAIVE_PAGES];
};
struct naive {
    struct naive_domain domains[NAIVE_DOMAINS];
    int domain_of[ENDPOINTS]; /* -1: none */
    bool bypass, plugged[ENDPOINTS];
};

static bool naive_exists(const struct naive *naive, int domain)
{
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        if (naive->domain_of[i] == domain) {
            return true;
        }
    }
    return false;
}

static unsigned naive_count(const struct naive *naive)
{
    unsigned count = 0;

    for (int d = 0; d < NAIVE_DOMAINS; d++) {
        for (unsigned p = 0; naive_exists(naive, d) && p < NAIVE_PAGES; p++) {
            count += naive->domains[d].pages[p].access && naive->domains[d].pages[p].first == p;
        }
    }
    return count;
}

static void naive_place(struct naive *naive, unsigned endpoint, int domain, bool bypass)
{
    if (domain >= 0 && !naive_exists(naive, domain)) {
        memset(&naive->domains[domain], 0, sizeof(naive->domains[domain]));
        naive->domains[domain].bypass = bypass;
    }
    naive->domain_of[endpoint] = domain;
}

static unsigned naive_map(struct naive *naive, int d, unsigned page, unsigned pages,
                          unsigned target, unsigned access)
{
    struct naive_domain *domain = &naive->domains[d];

    if (!naive_exists(naive, d)) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    for (unsigned i = page; i < page + pages; i++) {
        if (domain->bypass || domain->pages[i].access) {
            return VIRTIO_IOMMU_INVALID;
        }
    }
    if (naive_count(naive) >= 40) {
        return VIRTIO_IOMMU_NO_MEMORY;
    }
    for (unsigned i = page; i < page + pages; i++) {
        domain->pages[i] = (struct naive_page){page, pages, target + i - page, access};
    }
    return VIRTIO_IOMMU_OK;
}

static unsigned naive_unmap(struct naive *naive, int d, unsigned page, unsigned pages)
{
    struct naive_domain *domain = &naive->domains[d];

    if (!naive_exists(naive, d)) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    if (domain->bypass) {
        return VIRTIO_IOMMU_INVALID;
    }
    for (unsigned i = page; i < page + pages; i++) {
        const struct naive_page *at = &domain->pages[i];

        if (at->access && (at->first < page || at->first + at->pages > page + pages)) {
            return VIRTIO_IOMMU_OUT_OF_RANGE;
        }
    }
    memset(&domain->pages[page], 0, pages * sizeof(domain->pages[0]));
    return VIRTIO_IOMMU_OK;
}

static unsigned naive_attach(struct naive *naive, unsigned endpoint, int domain, bool bypass)
{
    if (naive_exists(naive, domain) && naive->domains[domain].bypass != bypass) {
        return VIRTIO_IOMMU_INVALID;
    }
    naive_place(naive, endpoint, domain, bypass);
    return VIRTIO_IOMMU_OK;
}

static bool naive_bypasses(const struct naive *naive, unsigned endpoint)
{
    int domain = naive->domain_of[endpoint];

    return domain < 0 ? naive->bypass : naive->domains[domain].bypass;
}

/* What a page of an endpoint leads to; access 0: nowhere. */
static struct naive_page naive_look(const struct naive *naive, unsigned endpoint, unsigned page)
{
    int domain = naive->domain_of[endpoint];

    if (naive_bypasses(naive, endpoint)) {
        return (struct naive_page){.target = page, .access = RW};
    }
    return domain < 0 || page >= NAIVE_PAGES ? (struct naive_page){0}
                                             : naive->domains[domain].pages[page];
}

static bool endpoint_agrees(struct vi *vi, const struct naive *naive, unsigned endpoint)
{
    for (unsigned page = 0; page < NAIVE_PAGES + 8; page++) {
        struct naive_page wanted = naive_look(naive, endpoint, page);
        const struct fixture_page *host = &vi->hosts[endpoint].pages[page];
        gpa_t address;

        for (unsigned is_write = 0; is_write < 2; is_write++) {
            bool found =
                vi_translate(vi, endpoint, page * FIXTURE_PAGE + 9, is_write, true, &address);

            if (found != ((wanted.access & (is_write ? W : R)) != 0) ||
                (found && address != wanted.target * FIXTURE_PAGE + 9)) {
                return false;
            }
        }
        if (naive->plugged[endpoint]
                ? host->access != wanted.access ||
                      (wanted.access && host->translated != wanted.target * FIXTURE_PAGE)
                : host->access != 0) {
            return false;
        }
    }
    return true;
}

/* One random request; the model follows only if no host refused. Returns whether they agree. */
static bool random_step(struct vi *vi, struct naive *naive, GRand *random)
{
    struct naive before = *naive;
    unsigned endpoint = (unsigned)g_rand_int_range(random, 0, ENDPOINTS);
    int domain = g_rand_int_range(random, 0, NAIVE_DOMAINS);
    unsigned page = (unsigned)g_rand_int_range(random, 0, NAIVE_PAGES);
    unsigned pages = (unsigned)g_rand_int_range(random, 1, 1 + (int)MIN(NAIVE_PAGES - page, 6));
    unsigned target = (unsigned)g_rand_int_range(random, 0, LOW_RAM_PAGES - 8);
    unsigned access = (unsigned)g_rand_int_range(random, 1, 4);
    bool bypass = g_rand_int_range(random, 0, 6) == 0,
         failing = g_rand_int_range(random, 0, 4) == 0;
    unsigned wanted, status, told = 0;

    for (unsigned i = 0; i < ENDPOINTS; i++) {
        struct fixture_host *host = &vi->hosts[i];

        host->told = false;
        host->fail_errno = EIO;
        host->fail_at =
            failing && i == endpoint ? host->calls + (unsigned)g_rand_int_range(random, 1, 4) : 0;
    }
    switch (g_rand_int_range(random, 0, 12)) {
    case 0:
        wanted = naive_attach(naive, endpoint, domain, bypass);
        status = vi_attach(vi, (uint32_t)domain, vi_requester(endpoint), bypass);
        break;
    case 1:
        wanted = naive->domain_of[endpoint] == domain ? VIRTIO_IOMMU_OK : VIRTIO_IOMMU_INVALID;
        naive_place(naive, endpoint, wanted == VIRTIO_IOMMU_OK ? -1 : naive->domain_of[endpoint],
                    false);
        status = vi_detach(vi, (uint32_t)domain, vi_requester(endpoint));
        break;
    case 2:
        wanted = status = VIRTIO_IOMMU_OK;
        vi->hosts[endpoint].fail_at = 0;
        if (naive->plugged[endpoint]) {
            vi_unplug(vi, endpoint);
            naive->plugged[endpoint] = false;
        } else {
            naive->plugged[endpoint] = vi_plug(vi, endpoint, NULL);
        }
        break;
    case 3:
        wanted = status = VIRTIO_IOMMU_OK;
        vi->hosts[endpoint].fail_at = 0; /* there is nobody to tell: the notifiers' business */
        naive->bypass = bypass;
        virtio_iommu_set_bypass(vi->unit, bypass);
        break;
    case 4:
    case 5:
    case 6:
        wanted = naive_unmap(naive, domain, page, pages);
        status = vi_unmap_pages(vi, (uint32_t)domain, page, pages);
        break;
    default:
        wanted = naive_map(naive, domain, page, pages, target, access);
        status = vi_map_pages(vi, (uint32_t)domain, page, pages, target, access);
        break;
    }
    if (status == VIRTIO_IOMMU_DEVICE_ERROR && failing && wanted == VIRTIO_IOMMU_OK) {
        *naive = before; /* one call failed, and all is as it was */
        wanted = status;
    }
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        told += vi->hosts[i].told;
    }
    if (status != wanted || told) {
        printf("status %u, not %u; %u told ", status, wanted, told);
        return false;
    }
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        if (!endpoint_agrees(vi, naive, i)) {
            printf("endpoint %u differs ", i);
            return false;
        }
    }
    return vi->unit->mapping_count == naive_count(naive);
}

static void test_random_requests(void)
{
    struct vi *vi = vi_new(false);
    struct naive *naive = g_new0(struct naive, 1);
    g_autoptr(GRand) random = test_seeded_rand();
    bool good = true;

    for (unsigned i = 0; i < ENDPOINTS; i++) {
        naive->domain_of[i] = -1;
    }
    for (unsigned i = 0; good && i < NAIVE_STEPS; i++) {
        good = random_step(vi, naive, random);
        if (!good) {
            printf("at step %u\n", i);
        }
    }
    CU_ASSERT_TRUE(good);
    g_free(naive);
    vi_free(vi);
}

static const struct unit_test tests[] = {
    {"random requests", test_random_requests},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("virtio-iommu-model", tests);
}
