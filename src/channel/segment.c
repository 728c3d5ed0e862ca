/* Putting, getting and removing variables. Invariant: at every store the chain that begins at `start` consists of whole
 * variables; new bytes are written where no variable stands, and become visible by a single store. The exception is the
 * removal of unused bytes, which marks the segment before (chunk.h). */
#include "channel/segment.h"

#include "channel/chunk.h"

static const char MAGIC[8] = "PHP_SM";

/* Checking --------------------------------------------------------------------------------------------- */

bool segment_has_magic(const struct segment *segment)
{
        /* PHP does not write the eighth byte. */
        return segment->size >= SEGMENT_HEADER && memcmp(segment->memory, MAGIC, 7) == 0;
}

/* The end of a magic that is longer than an integer is stored before its beginning. */
bool segment_is_fresh(const struct segment *segment)
{
        bool has_end = segment->size >= sizeof MAGIC && memcmp(segment->memory + SEGMENT_UNIT, MAGIC + SEGMENT_UNIT,
                                                               sizeof MAGIC - SEGMENT_UNIT) == 0;

        for (size_t i = 0; i < SEGMENT_HEADER && i < segment->size; i++)
                if (segment->memory[i] && !(has_end && i >= SEGMENT_UNIT && i < sizeof MAGIC))
                        return false;
        return true;
}

bool segment_is_foreign(const struct segment *segment)
{
        enum { START, END, FREE, TOTAL, FIELDS };
        enum { OTHER_UNIT = 12 - SEGMENT_UNIT };
        const size_t header = sizeof MAGIC + (size_t)FIELDS * OTHER_UNIT;
        uint64_t fields[FIELDS];
        uint32_t narrow;

        if (!segment_has_magic(segment) || segment->size < header)
                return false;
        for (size_t i = 0; i < FIELDS; i++) {
                const unsigned char *at = segment->memory + sizeof MAGIC + i * OTHER_UNIT;

                memcpy(&narrow, at, sizeof narrow);
                fields[i] = narrow;
                if (OTHER_UNIT == sizeof *fields)
                        memcpy(&fields[i], at, sizeof *fields);
        }
        return fields[START] >= header && fields[START] <= fields[END] && fields[END] <= fields[TOTAL] &&
               fields[TOTAL] <= segment->size && fields[FREE] == fields[TOTAL] - fields[END];
}

static int find_flaw(struct segment_flaw *flaw, size_t offset, const char *reason)
{
        if (flaw)
                *flaw = (struct segment_flaw){ reason, offset };
        return -EBADMSG;
}

static int read_header(const struct segment *segment, struct segment_layout *ret_layout, struct segment_flaw *flaw)
{
        int64_t start = segment_load(segment, AT_START), end = segment_load(segment, AT_END);
        int64_t free = segment_load(segment, AT_FREE), total = segment_load(segment, AT_TOTAL);

        if (segment_is_foreign(segment))
                return find_flaw(flaw, 0, "a program whose integers have another size has made it");
        if (free < 0)
                return find_flaw(flaw, 0, "a process was killed while it changed it");
        if (total < SEGMENT_HEADER || (uint64_t)total > segment->size)
                return find_flaw(flaw, 0, "its header has a wrong size");
        if (start < SEGMENT_HEADER || start > end || end > total || start % SEGMENT_UNIT != 0 || end % SEGMENT_UNIT != 0)
                return find_flaw(flaw, 0, "its header says that variables stand where there is no room");
        if (free != total - end)
                return find_flaw(flaw, 0, "its header has a wrong count of unused bytes");
        *ret_layout = (struct segment_layout){ (size_t)start, (size_t)end, (size_t)free, (size_t)total };
        return 0;
}

/* Reads the header and checks the chain. 1; 0 if the memory is fresh, and then the layout is that of no variables. */
static int read_layout(const struct segment *segment, struct segment_layout *ret_layout, struct segment_flaw *flaw)
{
        struct segment_chunk chunk;
        uint64_t size = segment->size;
        int code;

        *ret_layout = (struct segment_layout){ SEGMENT_HEADER, SEGMENT_HEADER, 0, segment->size };
        if (size > (uint64_t)SEGMENT_INTEGER_MAX)
                ret_layout->total = (size_t)SEGMENT_INTEGER_MAX;
        if (segment_is_fresh(segment)) {
                ret_layout->free = ret_layout->total > SEGMENT_HEADER ? ret_layout->total - SEGMENT_HEADER : 0;
                return 0;
        }
        if (!segment_has_magic(segment))
                return find_flaw(flaw, 0, "it holds raw bytes");
        code = read_header(segment, ret_layout, flaw);
        if (code)
                return code;
        for (size_t at = ret_layout->start; at < ret_layout->end; at += chunk.next)
                if (!chunk_read(segment, at, ret_layout->end, &chunk))
                        return find_flaw(flaw, at, "a variable is incomplete");
        return 1;
}

int segment_check(const struct segment *segment, struct segment_flaw *ret_flaw)
{
        struct segment_layout layout;
        int code = read_layout(segment, &layout, ret_flaw);

        return code < 0 ? code : 0;
}

int segment_next(const struct segment *segment, struct segment_chunk *chunk)
{
        struct segment_layout layout;
        size_t at;
        int code;

        if (segment_is_fresh(segment))
                return 0;
        code = segment_has_magic(segment) ? read_header(segment, &layout, NULL) : -EBADMSG;
        if (code)
                return code;
        at = chunk->offset ? chunk->offset + chunk->next : layout.start;
        if (at == layout.end)
                return 0;
        return chunk_read(segment, at, layout.end, chunk) ? 1 : -EBADMSG;
}

int segment_count_free(const struct segment *segment, size_t *ret_free)
{
        struct segment_layout layout;
        int code = read_layout(segment, &layout, NULL);

        *ret_free = code < 0 ? 0 : layout.free;
        return code < 0 ? code : 0;
}

int segment_find(const struct segment *segment, int64_t key, struct segment_chunk *ret_chunk)
{
        struct segment_layout layout;
        int code = read_layout(segment, &layout, NULL);

        if (code < 0)
                return code;
        for (size_t at = layout.start; at < layout.end; at += ret_chunk->next) {
                if (!chunk_read(segment, at, layout.end, ret_chunk))
                        return -EBADMSG;
                if (ret_chunk->key == key)
                        return 0;
        }
        return -ENOENT;
}

/* Moving ----------------------------------------------------------------------------------------------- */

struct segment_mark segment_read_mark(int64_t free)
{
        struct segment_mark mark = { .phase = SEGMENT_WHOLE };
        int64_t value;

        if (free >= 0 || free == SEGMENT_INTEGER_MIN)
                return mark;
        value = -free;
        mark.phase = (value & SEGMENT_MARK_MOVING) ? SEGMENT_MOVING : SEGMENT_MOVED;
        if (mark.phase == SEGMENT_MOVING) {
                int bits = (int)(value >> SEGMENT_MARK_REST & (((int64_t)1 << SEGMENT_MARK_BITS) - 1));

                if (bits > SEGMENT_MARK_REST)
                        return (struct segment_mark){ .phase = SEGMENT_WHOLE };
                value &= ((int64_t)1 << SEGMENT_MARK_REST) - 1;
                mark.distance = (size_t)(value & (((int64_t)1 << bits) - 1)) * SEGMENT_UNIT;
                if (__builtin_mul_overflow((size_t)(value >> bits), mark.distance, &mark.moved))
                        return (struct segment_mark){ .phase = SEGMENT_WHOLE };
        } else
                mark.target = (size_t)value;
        return mark;
}

/* @moved is a multiple of @distance. */
static void mark_moving(const struct segment *segment, size_t distance, size_t moved)
{
        uint64_t units = distance / SEGMENT_UNIT, bits = 64 - (uint64_t)__builtin_clzll(units);

        segment_store(segment, AT_FREE, -(SEGMENT_MARK_MOVING | (int64_t)(bits << SEGMENT_MARK_REST) |
                                          (int64_t)(moved / distance << bits | units)));
}

void segment_finish_move(const struct segment *segment, size_t holder, const struct segment_mark *mark, size_t size, size_t behind)
{
        size_t moved = mark->moved, target = mark->target, distance = mark->distance;

        while (moved < size) {
                size_t piece = size - moved < distance ? size - moved : distance;

                /* A piece is copied to where the one before it stood, so it can be copied again. */
                segment_copy(segment, target + moved, target + moved + distance, piece);
                moved += piece;
                /* The last piece may be a smaller one. It is copied again where this is interrupted. */
                if (moved < size)
                        mark_moving(segment, distance, moved);
        }
        segment_store(segment, target + CHUNK_NEXT, (int64_t)(behind - target));
        /* From here on the variable may be the first one with unused bytes behind it, so its place is remembered. */
        segment_store(segment, AT_FREE, -(int64_t)target);
        segment_link(segment, holder, target);
}

/* Moves a variable down to @target, over bytes that are not used. */
static void move_chunk(const struct segment *segment, const struct segment_layout *layout, size_t holder,
                       const struct segment_chunk *chunk, size_t target)
{
        const struct segment_mark mark = { SEGMENT_MOVING, chunk->offset - target, 0, target };
        size_t kept = chunk_kept(chunk), behind = chunk->offset + chunk->next;

        if (kept <= mark.distance) {
                segment_copy(segment, target, chunk->offset, kept);
                segment_store(segment, target + CHUNK_NEXT, (int64_t)(behind - target));
                segment_link(segment, holder, target);
                return;
        }
        mark_moving(segment, mark.distance, 0);
        segment_link(segment, holder, behind);
        segment_finish_move(segment, holder, &mark, kept, behind);
        segment_store(segment, AT_FREE, (int64_t)layout->free);
}

/* Gives back the unused bytes behind the last variable, which is at @last (0: there is none). */
static void trim(const struct segment *segment, struct segment_layout *layout, size_t last, size_t end)
{
        layout->end = end;
        layout->free = layout->total - end;
        segment_store(segment, AT_FREE, (int64_t)layout->free);
        segment_store(segment, AT_END, (int64_t)end);
        segment_link(segment, last, end);
}

/* Takes away all unused bytes between variables, so that the layout is the one that PHP leaves. */
static int compact(const struct segment *segment, struct segment_layout *layout)
{
        struct segment_chunk chunk;
        size_t holder = 0, target = SEGMENT_HEADER, at = layout->start;
        uint64_t total = layout->total;

        for (; at < layout->end; at = chunk.offset + chunk.next) {
                if (!chunk_read(segment, at, layout->end, &chunk))
                        return -EBADMSG;
                if (at != target) {
                        /* The mark has no room for larger numbers. The layout is legal as it is. */
                        if (total >= SEGMENT_MARK_MAX && chunk_kept(&chunk) > at - target)
                                return 0;
                        move_chunk(segment, layout, holder, &chunk, target);
                }
                holder = target;
                target += chunk_kept(&chunk);
        }
        if (target != layout->end)
                trim(segment, layout, holder, target);
        layout->start = SEGMENT_HEADER;
        return 0;
}

/* Changing --------------------------------------------------------------------------------------------- */

/* Unlinks the last variable of that key before @bound. 1, 0 if there is none, or -EBADMSG. */
static int unlink_last(const struct segment *segment, struct segment_layout *layout, int64_t key, size_t bound)
{
        struct segment_chunk chunk;
        size_t holder = 0, found = 0, found_holder = 0, behind = 0;

        for (size_t at = layout->start; at < bound; at += chunk.next) {
                if (!chunk_read(segment, at, layout->end, &chunk))
                        return -EBADMSG;
                if (chunk.key == key) {
                        found = at;
                        found_holder = holder;
                        behind = at + chunk.next;
                }
                holder = at;
        }
        if (!found)
                return 0;
        segment_link(segment, found_holder, behind);
        if (found_holder == 0)
                layout->start = behind;
        return 1;
}

/* Removes all variables of that key before @bound; the last first, so that a kill leaves the variable that is found. */
static int remove_before(const struct segment *segment, struct segment_layout *layout, int64_t key, size_t bound)
{
        int code;

        do
                code = unlink_last(segment, layout, key, bound);
        while (code > 0);
        return code < 0 ? code : compact(segment, layout);
}

/* Writes a header for no variables. The magic is first: bytes without it are not repaired. */
static void write_header(const struct segment *segment, const struct segment_layout *layout)
{
        segment_integer magic;

        for (size_t at = sizeof MAGIC; at > 0;) {
                at -= sizeof magic;
                memcpy(&magic, MAGIC + at, sizeof magic);
                segment_store(segment, at, magic);
        }
        segment_store(segment, AT_START, (int64_t)layout->start);
        segment_store(segment, AT_END, (int64_t)layout->end);
        segment_store(segment, AT_TOTAL, (int64_t)layout->total);
        segment_store(segment, AT_FREE, (int64_t)layout->free);
}

static void append(const struct segment *segment, struct segment_layout *layout, int64_t key, const void *bytes, size_t size)
{
        size_t at = layout->end, needed = chunk_size(size);

        segment_store(segment, at + CHUNK_KEY, key);
        segment_store(segment, at + CHUNK_LENGTH, (int64_t)size);
        segment_store(segment, at + CHUNK_NEXT, (int64_t)needed);
        if (size > 0)
                memcpy(segment->memory + at + SEGMENT_CHUNK, bytes, size);
        memset(segment->memory + at + SEGMENT_CHUNK + size, 0, needed - SEGMENT_CHUNK - size);
        SEGMENT_STORED();
        layout->free -= needed;
        layout->end += needed;
        segment_store(segment, AT_FREE, (int64_t)layout->free);
        segment_store(segment, AT_END, (int64_t)layout->end);
}

/* How many bytes are used without unused ones between: by all variables, and by those of one key. */
static int count_used(const struct segment *segment, const struct segment_layout *layout, int64_t key, size_t *ret_all,
                      size_t *ret_of_key)
{
        struct segment_chunk chunk;

        *ret_all = *ret_of_key = 0;
        for (size_t at = layout->start; at < layout->end; at += chunk.next) {
                if (!chunk_read(segment, at, layout->end, &chunk))
                        return -EBADMSG;
                *ret_all += chunk_kept(&chunk);
                *ret_of_key += chunk.key == key ? chunk_kept(&chunk) : 0;
        }
        return 0;
}

/* Makes room for @needed bytes at the end. 0, -ENOSPC or -EBADMSG. */
static int make_room(const struct segment *segment, struct segment_layout *layout, int64_t key, size_t needed)
{
        size_t all, of_key, room = layout->total - SEGMENT_HEADER;
        int code;

        if (needed <= layout->free)
                return 0;
        code = count_used(segment, layout, key, &all, &of_key);
        if (code)
                return code;
        if (needed > room || all - of_key > room - needed)
                return -ENOSPC;
        code = all <= room - needed ? compact(segment, layout) : remove_before(segment, layout, key, layout->end);
        if (code)
                return code;
        return needed <= layout->free ? 0 : -ENOSPC;
}

bool segment_has_room(size_t bytes, size_t size)
{
        size_t needed = chunk_size(size);

        return needed > 0 && bytes >= SEGMENT_HEADER && needed <= bytes - SEGMENT_HEADER;
}

int segment_put(const struct segment *segment, int64_t key, const void *bytes, size_t size)
{
        struct segment_layout layout;
        size_t needed = chunk_size(size);
        int code = read_layout(segment, &layout, NULL);

        if (code < 0)
                return code;
        if (key != (segment_integer)key)
                return -ERANGE;
        if (!segment_has_room(segment->size, size))
                return -ENOSPC;
        if (code == 0)
                write_header(segment, &layout);
        code = make_room(segment, &layout, key, needed);
        if (code)
                return code;
        append(segment, &layout, key, bytes, size);
        return remove_before(segment, &layout, key, layout.end - needed);
}

int segment_remove(const struct segment *segment, int64_t key)
{
        struct segment_layout layout;
        struct segment_chunk chunk;
        int code = segment_find(segment, key, &chunk);

        if (code)
                return code;
        code = read_layout(segment, &layout, NULL);
        return code < 0 ? code : remove_before(segment, &layout, key, layout.end);
}
