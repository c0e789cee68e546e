/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-iommu (virtio 1.2, 5.13): the guest says by requests which endpoint (a PCI requester ID)
 * is in which domain, and what a domain maps. This is the unit itself; the machine (dm) brings it
 * the requests, and gives endpoints their view of memory (virtio_iommu_get_endpoint).
 *
 * A view is always a region that translates; bypass is translation too, by the identity. So no
 * request edits the topology, and what a host refuses travels back into the status of the request
 * that wanted it: then nothing is recorded, and everything is as it was.
 *
 * Locks. unit.lock is the lock of iommu-region.h: requests, domains, notifiers. An endpoint's lock
 * is a leaf. Its domain, and the tree of that, change only while both are held (of a domain: those
 * of all its endpoints); so translate() takes nothing but its own endpoint's.
 */
#ifndef DUODM_IOMMU_VIRTIO_IOMMU_H
#define DUODM_IOMMU_VIRTIO_IOMMU_H

#include "iommu/iommu-region.h"
#include "iommu/iommu-watch.h"
#include "iommu/virtio-iommu-spec.h"

#define VIRTIO_IOMMU_GRANULE     4096u
#define VIRTIO_IOMMU_DOMAIN_LAST 0xffffu /* as many as there can be endpoints */
#define VIRTIO_IOMMU_PROBE_BYTES 512u    /* of properties */
#define VIRTIO_IOMMU_FAULTS_MAX  64u     /* that wait for the driver; more are dropped */

struct virtio_iommu;
struct virtio_iommu_endpoint;
struct virtio_iommu_domain;

struct virtio_iommu_config {
    unsigned address_width; /* bits of an IOVA that can be mapped, 32 to 52 */
    uint64_t mapping_limit; /* of all domains together: what a guest may have us keep */
    bool bypass;            /* of endpoints that are in no domain, until the guest decides */
};

/* What the unit needs of the machine. */
struct virtio_iommu_host {
    /* There is a fault to be taken. Any thread, leaf locks held. */
    void (*fault_recorded)(void *opaque);
    /* What devices still used of what was taken back (unit.drain), they use no more: requests that
     * wait for it are done. Any thread, leaf locks held. NULL: nobody waits. */
    void (*devices_have_ended)(void *opaque);
    void *opaque;
};

struct virtio_iommu_fault {
    uint16_t endpoint;
    bool is_write;
    enum virtio_iommu_fault_reason reason;
    uint64_t address;
};

struct virtio_iommu {
    struct virtio_iommu_config config;
    struct virtio_iommu_host host;
    struct address_space *memory; /* what is translated to */
    struct memory_region *system; /* its root */
    struct iommu_drain drain;     /* what emulated devices can't let go at once */

    struct mutex lock;
    uint64_t features;                   /* negotiated */
    GHashTable *endpoints;               /* requester -> struct virtio_iommu_endpoint */
    GHashTable *domains;                 /* ID -> struct virtio_iommu_domain; each has endpoints */
    struct virtio_iommu_domain *nowhere; /* maps nothing: between one domain and the next */
    uint64_t mapping_count;              /* of all domains */
    bool bypass; /* atomic for readers: config.bypass, or the guest's word */

    struct mutex fault_lock; /* leaf; for the following */
    struct virtio_iommu_fault faults[VIRTIO_IOMMU_FAULTS_MAX];
    unsigned fault_first, fault_count;
};

/* memory: the address space of guest physical memory; system: its root. */
struct virtio_iommu *virtio_iommu_new(const struct virtio_iommu_config *config,
                                      const struct virtio_iommu_host *host,
                                      struct address_space *memory, struct memory_region *system);
/* All endpoints must have been put. NULL is fine. */
void virtio_iommu_free(struct virtio_iommu *unit);

/* An endpoint with its view of memory, as the root of a DMA address space: made at the first call,
 * counted. In no domain at first. Main loop. */
struct virtio_iommu_endpoint *virtio_iommu_get_endpoint(struct virtio_iommu *unit,
                                                        uint16_t requester);
void virtio_iommu_put_endpoint(struct virtio_iommu_endpoint *endpoint);
struct memory_region *virtio_iommu_endpoint_root(struct virtio_iommu_endpoint *endpoint);
/* Where notifiers register. */
struct iommu_region *virtio_iommu_endpoint_region(struct virtio_iommu_endpoint *endpoint);

/*
 * The functions from here to virtio_iommu_reset return when hosts have followed, and copies under
 * way have ended. What emulated devices still use of what was taken back is in the drain: a request
 * is not to be answered, nor a new value of `bypass` read, before that is empty. No lock held.
 */

/*
 * Carry out a request: out_length bytes that the device may read. Writes at most in_length bytes to
 * `in`; returns how many of them, 0: it is no request that could be answered.
 */
size_t virtio_iommu_request(struct virtio_iommu *unit, const uint8_t *out, size_t out_length,
                            uint8_t *in, size_t in_length);
/* The configuration's field `bypass`. */
void virtio_iommu_set_bypass(struct virtio_iommu *unit, bool bypass);
/* A device's reset: no endpoint is in a domain any more; `bypass` stays. */
void virtio_iommu_reset(struct virtio_iommu *unit);

/* What the driver has accepted, before its first request. */
void virtio_iommu_set_features(struct virtio_iommu *unit, uint64_t features);
/* The oldest fault that was not taken yet, as an event; false: none. Any thread. */
bool virtio_iommu_has_fault(struct virtio_iommu *unit);
bool virtio_iommu_take_fault(struct virtio_iommu *unit, uint8_t event[VIRTIO_IOMMU_EVENT_SIZE]);

/* Domains, their mappings and endpoints as bytes, appended; and back, when all endpoints are there.
 * False: the bytes can't be this unit's state, and nothing was done. Requests stand still. */
void virtio_iommu_save(struct virtio_iommu *unit, GByteArray *bytes);
bool virtio_iommu_load(struct virtio_iommu *unit, const uint8_t *bytes, size_t length);

/* For monitors. */
struct virtio_iommu_endpoint_info {
    uint16_t requester;
    bool attached, bypass;
    uint32_t domain;        /* if attached */
    uint64_t mappings;      /* of the domain */
    unsigned notifiers;     /* who follows, in a host IOMMU or a cache */
    uint64_t host_mappings; /* that host IOMMUs hold for it */
};
/* All endpoints, in order; unref it. */
GArray *virtio_iommu_query(struct virtio_iommu *unit);

#endif
