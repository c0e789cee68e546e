/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/code-cache.h"
#include "util/error.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

bool code_cache_init(struct code_cache *cache, size_t size, GError **error)
{
    int fd = memfd_create("duodm-code", MFD_CLOEXEC);
    int failed_with;

    *cache = (struct code_cache){.size = size};
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        void *writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        void *executable = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);

        failed_with = errno;
        close(fd);
        if (writable != MAP_FAILED && executable != MAP_FAILED) {
            cache->writable = writable;
            cache->executable = executable;
            return true;
        }
        if (writable != MAP_FAILED) {
            munmap(writable, size);
        }
        if (executable != MAP_FAILED) {
            munmap(executable, size);
        }
    } else {
        failed_with = errno;
        if (fd >= 0) {
            close(fd);
        }
    }
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "no executable memory for translated code (%zu MiB): %s; -accel "
                      "tcg,interpreter=on does without",
                      size >> 20, g_strerror(failed_with));
}

void code_cache_destroy(struct code_cache *cache)
{
    if (cache->writable) {
        munmap(cache->writable, cache->size);
        munmap((void *)cache->executable, cache->size);
    }
}

void code_cache_begin(const struct code_cache *cache, struct emitter *e)
{
    *e = (struct emitter){
        .at = cache->writable + cache->used,
        .end = cache->writable + cache->size,
        .to_exec = cache->executable - cache->writable,
    };
}

void code_cache_commit(struct code_cache *cache, const struct emitter *e)
{
    size_t used = (size_t)(e->at - cache->writable);

    cache->used = MIN((used + CODE_ALIGNMENT - 1) & ~(size_t)(CODE_ALIGNMENT - 1), cache->size);
}

void code_cache_keep(struct code_cache *cache)
{
    cache->kept = cache->used;
}

void code_cache_flush(struct code_cache *cache)
{
    cache->used = cache->kept;
    cache->generation++;
}
