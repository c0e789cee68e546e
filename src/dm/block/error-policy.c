/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What follows from a failed request: werror=, rerror=, BLOCK_IO_ERROR and the pause. */
#include "dm/block/block-private.h"
#include "dm/machine.h"
#include "util/error.h"

#include <errno.h>

#define REPORTS_MAX 64 /* events that wait; a guest can't make more by failing faster */

struct report {
    bool is_write;
    int error_number;
    enum block_error_policy action; /* REPORT, IGNORE or STOP */
};

struct block_errors {
    struct block_backend *backend;
    struct event *event;  /* in the main loop; NULL: there is no machine */
    pthread_mutex_t lock; /* leaf: protects reports */
    GArray *reports;      /* of struct report */
    int stopped_by;       /* errno of the error that stopped the machine; 0: none. Main loop */
};

static const char *const policy_names[] = {
    [BLOCK_ERROR_REPORT] = "report", [BLOCK_ERROR_IGNORE] = "ignore", [BLOCK_ERROR_STOP] = "stop",
    [BLOCK_ERROR_ENOSPC] = "enospc", [BLOCK_ERROR_AUTO] = "auto",
};

bool block_error_policy_parse(const char *text, bool is_write, enum block_error_policy *policy,
                              GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(policy_names); i++) {
        if (g_str_equal(text, policy_names[i]) && (is_write || i != BLOCK_ERROR_ENOSPC)) {
            *policy = (enum block_error_policy)i;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "%s=%s is not valid: report, ignore, stop%s or auto",
                      is_write ? "werror" : "rerror", text, is_write ? ", enospc" : "");
}

struct block_error_policies block_get_policies(const struct block_backend *backend)
{
    struct block_error_policies policies = {BLOCK_ERROR_AUTO, BLOCK_ERROR_AUTO};

    /* Checked when the backend was opened. */
    if (backend->options.werror) {
        block_error_policy_parse(backend->options.werror, true, &policies.write, NULL);
    }
    if (backend->options.rerror) {
        block_error_policy_parse(backend->options.rerror, false, &policies.read, NULL);
    }
    return policies;
}

static enum block_error_policy decide(struct block_error_policies policies, bool is_write,
                                      int error_number)
{
    enum block_error_policy policy = is_write ? policies.write : policies.read;

    if (policy == BLOCK_ERROR_AUTO) {
        policy = is_write ? BLOCK_ERROR_ENOSPC : BLOCK_ERROR_REPORT;
    }
    if (policy == BLOCK_ERROR_ENOSPC) {
        policy = error_number == ENOSPC ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    }
    return policy;
}

/* Have the main loop tell the monitors and, if that is the action, stop the machine. */
static void tell(struct block_errors *errors, struct report report)
{
    if (!errors->event) {
        return;
    }
    pthread_mutex_lock(&errors->lock);
    /* Of many at once the first ones tell enough; but a pause is never lost. */
    if (errors->reports->len < REPORTS_MAX || report.action == BLOCK_ERROR_STOP) {
        g_array_append_val(errors->reports, report);
    }
    pthread_mutex_unlock(&errors->lock);
    event_active(errors->event, EV_TIMEOUT, 0);
}

int block_settle_error(struct block_backend *backend, struct block_error_policies policies,
                       bool is_write, int result)
{
    enum block_error_policy action;

    if (result >= 0 || result == -ECANCELED) {
        return result;
    }
    action = decide(policies, is_write, -result);
    tell(backend->errors, (struct report){is_write, -result, action});
    switch (action) {
    case BLOCK_ERROR_STOP:
        return -ECANCELED;
    case BLOCK_ERROR_IGNORE:
        return 0;
    default:
        return result;
    }
}

static void emit(const struct block_backend *backend, const struct report *report)
{
    json_t *data =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", backend->device_name, "node-name",
                  backend->node_name, "operation", report->is_write ? "write" : "read", "action",
                  policy_names[report->action], "nospace", report->error_number == ENOSPC, "reason",
                  g_strerror(report->error_number));
    char *text = json_dumps(data, 0);

    machine_emit_event(backend->registry->machine, "BLOCK_IO_ERROR", text);
    free(text);
    json_decref(data);
}

static void on_errors(evutil_socket_t fd, short what, void *opaque)
{
    struct block_errors *errors = opaque;
    struct block_backend *backend = errors->backend;
    g_autoptr(GArray) reports = g_array_new(FALSE, FALSE, sizeof(struct report));
    GArray *taken;

    pthread_mutex_lock(&errors->lock);
    taken = errors->reports;
    errors->reports = g_steal_pointer(&reports);
    pthread_mutex_unlock(&errors->lock);
    for (unsigned i = 0; i < taken->len; i++) {
        const struct report *report = &g_array_index(taken, struct report, i);

        emit(backend, report);
        if (report->action == BLOCK_ERROR_STOP) {
            errors->stopped_by = report->error_number;
            machine_stop(backend->registry->machine, RUN_STATE_IO_ERROR);
        }
    }
    g_array_unref(taken);
}

struct block_errors *block_errors_new(struct block_backend *backend)
{
    struct block_errors *errors = g_new0(struct block_errors, 1);
    struct machine *machine = backend->registry->machine;

    errors->backend = backend;
    errors->reports = g_array_new(FALSE, FALSE, sizeof(struct report));
    pthread_mutex_init(&errors->lock, NULL);
    if (machine) {
        errors->event = event_new(machine->base, -1, EV_PERSIST, on_errors, errors);
    }
    return errors;
}

void block_errors_free(struct block_errors *errors)
{
    if (!errors) {
        return;
    }
    if (errors->event) {
        event_free(errors->event);
    }
    pthread_mutex_destroy(&errors->lock);
    g_array_unref(errors->reports);
    g_free(errors);
}

const char *block_errors_status(const struct block_backend *backend)
{
    int stopped_by = backend->errors->stopped_by;

    return !stopped_by ? "ok" : stopped_by == ENOSPC ? "nospace" : "failed";
}

void block_errors_reset(struct block_backend *backend)
{
    backend->errors->stopped_by = 0;
}
