/* What a child writes besides the conversation: read as it comes, so that the child never blocks on it, and handed over. */
#pragma once

#include "loop/loop.h"
#include "stream/endpoint.h"

enum {
        CAPTURED_LINE_MAX = 4096,       /* longer lines come in pieces */
        CAPTURED_TAIL_MAX = 400,        /* for the sentence about the end */
};

struct captured {
        struct endpoint endpoint;
        struct loop_source source;
        bool has_lines;                 /* it is handed over by lines, without their ends; else as it comes */
        /* May free what this stands in. */
        void (*take)(struct captured *captured, const char *bytes, size_t size);
        bool (*is_gone)(const struct captured *captured);       /* whether it was freed meanwhile */
        char *line;                     /* CAPTURED_LINE_MAX, while it is open */
        size_t line_size;
        int error;                      /* why reading has ended before its end; 0: it has not */
        char tail[CAPTURED_TAIL_MAX + 1];
        size_t tail_size;
};

/* Nothing is captured yet. */
void captured_init(struct captured *captured, ferry_loop *loop, bool has_lines,
                   void (*take)(struct captured *captured, const char *bytes, size_t size),
                   bool (*is_gone)(const struct captured *captured));

/* Take over the end of a pipe. 0, or a negative errno, and then it is the caller's. */
int captured_open(struct captured *captured, int fd);

/* Read what is there now: another process may write for ever. May happen within itself, where what is handed over is waited
 * for: that hands over the rest. */
void captured_drain(struct captured *captured);

/* Whether more is there than has been read. */
bool captured_is_behind(const struct captured *captured);

void captured_close(struct captured *captured, bool is_foreign);

/* Room for captured_describe(). */
enum { CAPTURED_WORDS_MAX = CAPTURED_TAIL_MAX * 3 + 32 };

/* The last lines on one line: "; its last words: …", or "". */
void captured_describe(struct captured *captured, char *text, size_t size);
