/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What hosts' IOMMUs hold for passed-through devices, against what the guest's tables say. */
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/vfio/vfio-space.h"

json_t *qmp_iommu_verify(struct qmp_context *context, json_t *arguments, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool equal = vfio_spaces_verify(context->machine, text);

    return json_pack("{s:b, s:s}", "equal", equal, "report", text->str);
}

bool hmp_info_iommu(struct hmp_context *context, char **words, GString *out, GError **error)
{
    bool equal = vfio_spaces_verify(context->machine, out);

    g_string_append(out, equal ? "hosts hold what the guest's tables say\n"
                               : "hosts do NOT hold what the guest's tables say\n");
    return true;
}
