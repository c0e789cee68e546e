/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the virtio-iommu model. */
#ifndef DUODM_IOMMU_VIRTIO_IOMMU_PRIVATE_H
#define DUODM_IOMMU_VIRTIO_IOMMU_PRIVATE_H

#include "iommu/iova-tree.h"
#include "iommu/virtio-iommu.h"

#define VIRTIO_IOMMU_SPACE (UINT64_C(1) << 52) /* bytes of a view */
/* Where messages are written, never translated. */
#define VIRTIO_IOMMU_MSI_START  UINT64_C(0xfee00000)
#define VIRTIO_IOMMU_MSI_LENGTH UINT64_C(0x100000)

struct virtio_iommu_domain {
    uint32_t id;
    bool bypass;
    struct iova_tree *tree;
    GPtrArray *endpoints; /* of struct virtio_iommu_endpoint, by requester; not owned */
};

struct virtio_iommu_endpoint {
    struct virtio_iommu *unit;
    uint16_t requester;
    unsigned references;
    struct memory_region root;          /* container of the two below */
    struct iommu_region region;         /* of all addresses */
    struct memory_region messages;      /* above it: the interrupt messages' addresses */
    struct mutex lock;                  /* leaf */
    struct virtio_iommu_domain *domain; /* NULL: none */
};

/* All of these: unit.lock is held. */

/* virtio-iommu-domain.c */
struct virtio_iommu_domain *virtio_iommu_domain_new(uint32_t id, bool bypass);
void virtio_iommu_domain_free(struct virtio_iommu_domain *domain);
/* The domain of that ID, or NULL. */
struct virtio_iommu_domain *virtio_iommu_find_domain(const struct virtio_iommu *unit, uint32_t id);
/* Take an endpoint from its domain (or none) to another (NULL: none); a domain without endpoints
 * ceases to be. False: a host refused, the endpoint is where it was, and so is the domain. */
bool virtio_iommu_move(struct virtio_iommu_endpoint *endpoint, struct virtio_iommu_domain *domain,
                       GError **error);
/* The same where nobody can be told of a failure but the notifiers. */
void virtio_iommu_force_move(struct virtio_iommu_endpoint *endpoint,
                             struct virtio_iommu_domain *domain);
/* Add a mapping that overlaps none; remove those in range, which it cuts nowhere. All hosts have
 * followed, or nothing was done. */
bool virtio_iommu_domain_map(struct virtio_iommu *unit, struct virtio_iommu_domain *domain,
                             const struct iommu_mapping *mapping, GError **error);
bool virtio_iommu_domain_unmap(struct virtio_iommu *unit, struct virtio_iommu_domain *domain,
                               struct range range, GError **error);

/* virtio-iommu-endpoint.c */

/* Is it in bypass mode? Either lock will do. */
bool virtio_iommu_endpoint_bypasses(const struct virtio_iommu_endpoint *endpoint);
static inline struct range virtio_iommu_everything(void)
{
    return (struct range){0, VIRTIO_IOMMU_SPACE};
}

/* virtio-iommu-probe.c: what the guest is told of an endpoint, into VIRTIO_IOMMU_PROBE_BYTES of
 * zeros. */
void virtio_iommu_put_properties(const struct virtio_iommu_endpoint *endpoint, uint8_t *properties);

/* virtio-iommu.c: any thread, leaf locks only. */
void virtio_iommu_record_fault(struct virtio_iommu *unit, const struct virtio_iommu_fault *fault);

#endif
