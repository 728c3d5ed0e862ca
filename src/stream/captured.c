/* Reads what a child writes besides the conversation. Invariants: it is read whether or not it is wanted; no more of it
 * is kept than a line and the last words. */
#include "stream/captured.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void keep_tail(struct captured *captured, const char *bytes, size_t size)
{
        size_t over;

        if (size > CAPTURED_TAIL_MAX) {
                bytes += size - CAPTURED_TAIL_MAX;
                size = CAPTURED_TAIL_MAX;
        }
        over = captured->tail_size + size > CAPTURED_TAIL_MAX ? captured->tail_size + size - CAPTURED_TAIL_MAX : 0;
        memmove(captured->tail, captured->tail + over, captured->tail_size - over);
        captured->tail_size -= over;
        memcpy(captured->tail + captured->tail_size, bytes, size);
        captured->tail_size += size;
}

/* Take that many bytes, and @skip behind them, out of what was read, and hand them over. */
static void hand_over(struct captured *captured, size_t size, size_t skip)
{
        char line[CAPTURED_LINE_MAX];

        memcpy(line, captured->line, size);
        captured->line_size -= size + skip;
        memmove(captured->line, captured->line + size + skip, captured->line_size);
        captured->take(captured, line, size);
}

static void take_lines(struct captured *captured, bool is_last)
{
        char *newline;

        while (!captured->is_gone(captured) && captured->has_lines && captured->line_size > 0 &&
               (newline = memchr(captured->line, '\n', captured->line_size)))
                hand_over(captured, (size_t)(newline - captured->line), 1);
        if (!captured->is_gone(captured) && captured->line_size > 0 &&
            (!captured->has_lines || is_last || captured->line_size == CAPTURED_LINE_MAX))
                hand_over(captured, captured->line_size, 0);
}

static void stop(struct captured *captured)
{
        loop_source_set(&captured->source, 0);
        endpoint_deinit(&captured->endpoint);
        captured->source.fd = -1;
}

/* Returns how much there was. */
static size_t read_some(struct captured *captured)
{
        ssize_t got;

        if (captured->is_gone(captured) || captured->endpoint.way == ENDPOINT_NONE)
                return 0;
        got = endpoint_read(&captured->endpoint, captured->line + captured->line_size,
                            CAPTURED_LINE_MAX - captured->line_size);
        if (got == -EAGAIN)
                return 0;
        if (got > 0) {
                keep_tail(captured, captured->line + captured->line_size, (size_t)got);
                captured->line_size += (size_t)got;
        } else {
                captured->error = (int)got;
                stop(captured);
        }
        take_lines(captured, got <= 0);
        return got > 0 ? (size_t)got : 0;
}

static void is_ready(struct loop_source *source, uint32_t events)
{
        (void)events;
        read_some(container_of(source, struct captured, source));
}

void captured_init(struct captured *captured, ferry_loop *loop, bool has_lines,
                   void (*take)(struct captured *captured, const char *bytes, size_t size),
                   bool (*is_gone)(const struct captured *captured))
{
        captured->endpoint = (struct endpoint){ .fd = -1, .io = -1 };
        captured->source = (struct loop_source){ .loop = loop, .fd = -1, .fn = is_ready };
        captured->has_lines = has_lines;
        captured->take = take;
        captured->is_gone = is_gone;
        captured->line = NULL;
        captured->line_size = captured->tail_size = 0;
        captured->error = 0;
}

static void forget_line(struct captured *captured)
{
        sys_free(captured->line);
        captured->line = NULL;
        captured->line_size = 0;
}

int captured_open(struct captured *captured, int fd)
{
        int error;

        captured->line = sys_alloc(CAPTURED_LINE_MAX);
        error = captured->line ? endpoint_init(&captured->endpoint, fd, false, true) : -ENOMEM;
        if (!error) {
                captured->source.fd = captured->endpoint.fd;
                error = loop_source_set(&captured->source, EPOLLIN);
                if (error) {
                        captured->endpoint.is_shared = true;
                        endpoint_deinit(&captured->endpoint);
                }
        }
        if (error)
                forget_line(captured);
        return error;
}

void captured_drain(struct captured *captured)
{
        int count = captured->endpoint.way == ENDPOINT_NONE ? 0 : sys_count_input(captured->endpoint.fd);
        size_t left = count < 0 ? CAPTURED_LINE_MAX : (size_t)count, got;

        while (left > 0 && (got = read_some(captured)) > 0)
                left -= got < left ? got : left;
        take_lines(captured, true);
}

bool captured_is_behind(const struct captured *captured)
{
        return captured->endpoint.way != ENDPOINT_NONE && sys_count_input(captured->endpoint.fd) > 0;
}

void captured_close(struct captured *captured, bool is_foreign)
{
        if (!is_foreign)
                loop_source_set(&captured->source, 0);
        endpoint_deinit(&captured->endpoint);
        captured->source.fd = -1;
        forget_line(captured);
}

void captured_describe(struct captured *captured, char *text, size_t size)
{
        size_t begin = 0, used = 0;

        /* ssh ends its lines with both. */
        while (captured->tail_size > 0 && strchr("\r\n", captured->tail[captured->tail_size - 1]))
                captured->tail_size--;
        captured->tail[captured->tail_size] = '\0';
        /* What was cut off in front does not begin with a line. */
        if (captured->tail_size >= CAPTURED_TAIL_MAX - 1 && strchr(captured->tail, '\n'))
                begin = (size_t)(strchr(captured->tail, '\n') + 1 - captured->tail);
        text[0] = '\0';
        if (begin < captured->tail_size)
                used = (size_t)snprintf(text, size, "; its last words: ");
        for (size_t i = begin; i < captured->tail_size && used + 4 < size; i++) {
                unsigned char c = (unsigned char)captured->tail[i];

                if (c == '\n') {
                        memcpy(text + used, " | ", 3);
                        used += 3;
                } else
                        text[used++] = (char)(c < 0x20 ? ' ' : c);
        }
        text[used] = '\0';
}
