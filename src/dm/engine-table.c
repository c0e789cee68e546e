/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines of this build, in the order in which they are tried when -accel names none. */
#include "dm/engine.h"
#include "dm/test/qtest.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef ENABLE_KVM
extern const struct engine_ops kvm_engine;
#endif
#ifdef ENABLE_XEN
extern const struct engine_ops xen_engine;
#endif
#ifdef ENABLE_TCG
extern const struct engine_ops tcg_engine;
#endif

const struct engine_ops *const engine_table[] = {
#ifdef ENABLE_KVM
    &kvm_engine,
#endif
#ifdef ENABLE_XEN
    &xen_engine,
#endif
#ifdef ENABLE_TCG
    &tcg_engine,
#endif
    &qtest_engine, NULL,
};
