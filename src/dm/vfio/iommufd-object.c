/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vfio/iommufd-object.h"
#include "dm/object.h"
#include "vfio/iommufd.h"

struct iommufd_object {
    struct object object;
    struct iommufd *iommufd;
};

static bool complete(struct object *object, GError **error)
{
    struct iommufd_object *self = (struct iommufd_object *)object;

    self->iommufd = iommufd_open(error);
    return self->iommufd != NULL;
}

static void finalize(struct object *object)
{
    iommufd_close(((struct iommufd_object *)object)->iommufd);
}

extern const struct object_class iommufd_class;

const struct object_class iommufd_class = {
    .name = "iommufd",
    .description = "/dev/iommu, for passed-through devices (-device vfio-pci,iommufd=ID)",
    .instance_size = sizeof(struct iommufd_object),
    .complete = complete,
    .finalize = finalize,
};

bool iommufd_object_find(struct machine *machine, const char *id, struct iommufd **iommufd,
                         GError **error)
{
    struct iommufd_object *self = NULL;

    if (id) {
        self = (struct iommufd_object *)object_find(machine, id, &iommufd_class, error);
    }
    *iommufd = self ? self->iommufd : NULL;
    return self || !id;
}
