/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is this built with ThreadSanitizer? gcc and clang say it in different ways. */
#ifndef DUODM_UTIL_TSAN_H
#define DUODM_UTIL_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#endif
