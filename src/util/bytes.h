/* Numbers in network byte order. */
#pragma once

#include <stdint.h>

static inline uint32_t read_u32(const void *bytes)
{
        const unsigned char *at = bytes;

        /* gcc-analyzer: a buffer that has a size has bytes */
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void write_u32(void *bytes, uint32_t number)
{
        unsigned char *at = bytes;

        at[0] = (unsigned char)(number >> 24);
        at[1] = (unsigned char)(number >> 16);
        at[2] = (unsigned char)(number >> 8);
        at[3] = (unsigned char)number;
}
