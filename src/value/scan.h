/* Text, many bytes at a time: how far it is plain, which means ASCII without quotes, backslashes and control characters. Of the
 * instructions of vectors those are used that every machine of the architecture has, so nothing is chosen at run time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static inline bool byte_is_plain(char c)
{
        return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* The first byte that is not plain, or @end. */
static inline const char *scan_bytes(const char *at, const char *end)
{
        while (at < end && byte_is_plain(*at))
                at++;
        return at;
}

/* Whether all of eight bytes are plain: what is not sets the first bit of its byte, or of a higher one. */
static inline bool word_is_plain(uint64_t word)
{
        const uint64_t ones = 0x0101010101010101;
        uint64_t quotes = word ^ ones * '"', backslashes = word ^ ones * '\\';

        return (((word - ones * 0x20) | word | (quotes - ones) | (backslashes - ones)) & ones * 0x80) == 0;
}

static inline uint64_t scan_load(const char *at)
{
        uint64_t word;

        memcpy(&word, at, 8);
        return word;
}

static inline uint32_t scan_load_half(const char *at)
{
        uint32_t half;

        memcpy(&half, at, 4);
        return half;
}

/* Fewer than 16 bytes: by two words that overlap, or by one that is put together. */
static inline bool few_are_plain(const char *at, size_t size)
{
        const uint64_t plain = 0x2020202020202020;

        if (size >= 8)
                return word_is_plain(scan_load(at)) && word_is_plain(scan_load(at + size - 8));
        if (size >= 4)
                return word_is_plain((uint64_t)scan_load_half(at) << 32 | scan_load_half(at + size - 4));
        return size == 0 || word_is_plain(plain << 24 | (uint64_t)(unsigned char)at[0] << 16 |
                                          (uint64_t)(unsigned char)at[size / 2] << 8 | (unsigned char)at[size - 1]);
}

static inline const char *scan_few(const char *at, const char *end)
{
        return few_are_plain(at, (size_t)(end - at)) ? end : scan_bytes(at, end);
}

static inline const char *scan_words(const char *at, const char *end)
{
        for (; end - at >= 16; at += 8)
                if (!word_is_plain(scan_load(at)))
                        return scan_bytes(at, end);
        return scan_few(at, end);
}

#if defined(__SSE2__)

/* Of 16 bytes, a bit for each that is not plain. */
static inline unsigned block_mask(const char *at)
{
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);

        /* As signed numbers what is beyond ASCII is below 0. */
        return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)),
                                                        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')))));
}

static inline const char *block_first(const char *at, unsigned mask)
{
        return at + __builtin_ctz(mask);
}

#elif defined(__aarch64__)

/* Four bits for each byte. */
static inline uint64_t block_mask(const char *at)
{
        int8x16_t bytes = vld1q_s8((const int8_t *)at);
        uint8x16_t other = vorrq_u8(vcltq_s8(bytes, vdupq_n_s8(0x20)),
                                    vorrq_u8(vceqq_s8(bytes, vdupq_n_s8('"')), vceqq_s8(bytes, vdupq_n_s8('\\'))));

        return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(other), 4)), 0);
}

static inline const char *block_first(const char *at, uint64_t mask)
{
        return at + __builtin_ctzll(mask) / 4;
}

#endif

static inline const char *scan_plain(const char *at, const char *end)
{
#if defined(__SSE2__) || defined(__aarch64__)
        if (end - at < 16)
                return scan_few(at, end);
        for (; end - at >= 16; at += 16)
                if (block_mask(at))
                        return block_first(at, block_mask(at));
        if (at == end)
                return end;
        /* The last block overlaps the one before, which is plain. */
        at = end - 16;
        return block_mask(at) ? block_first(at, block_mask(at)) : end;
#else
        return scan_words(at, end);
#endif
}

/* The first quote or backslash, or @end. */
static inline const char *scan_quote(const char *at, const char *end)
{
#if defined(__SSE2__)
        for (; end - at >= 16; at += 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
                unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                                         _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));

                if (mask)
                        return at + __builtin_ctz(mask);
        }
#elif defined(__aarch64__)
        for (; end - at >= 16; at += 16) {
                uint8x16_t bytes = vld1q_u8((const uint8_t *)at);
                uint8x16_t other = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('"')), vceqq_u8(bytes, vdupq_n_u8('\\')));
                uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(other), 4)), 0);

                if (mask)
                        return at + __builtin_ctzll(mask) / 4;
        }
#endif
        while (at < end && *at != '"' && *at != '\\')
                at++;
        return at;
}
