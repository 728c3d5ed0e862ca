/* What the compiler has built in. */
#pragma once

/* Whether AddressSanitizer is there: it keeps what was freed, and its frames are several times as large. */
#if defined(__SANITIZE_ADDRESS__)
#define SUITE_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUITE_HAS_ASAN 1
#endif
#endif
#ifndef SUITE_HAS_ASAN
#define SUITE_HAS_ASAN 0
#endif
