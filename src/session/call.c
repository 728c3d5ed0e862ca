/* Requests of ours: what becomes of them, and those that wait for a session. Invariant: each call ends once, and says then
 * what is known of whether the peer has acted on it. Sending them: request.c. */
#include "session/private.h"
#include "util/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { TYPE_SHOWN_MAX = 64 };

static void destroy_parts(struct call_parts *parts)
{
        ferry_message *part;

        message_release(parts->lent);
        for (; buffer_size(&parts->waiting) > 0; buffer_consume(&parts->waiting, sizeof part)) {
                /* gcc-analyzer: a buffer that has a size has bytes */
                memcpy(&part, buffer_bytes(&parts->waiting), sizeof part);
                message_release(part);
        }
        buffer_deinit(&parts->waiting);
        sys_free(parts);
}

static void bury(struct loop_grave *grave)
{
        ferry_call *call = container_of(grave, ferry_call, grave);

        error_deinit(&call->error);
        message_release(call->reply);
        if (call->parts)
                destroy_parts(call->parts);
        ferry_value_unref(call->waiting_body);
        if (call->type && call->type != call->type_room)
                sys_free(call->type);
        if (call->loop)
                pile_give(&call->reserve->calls, call, call->room);
        else
                sys_free(call);
}

/* Its callback comes in the next round; waiting for a queue waits for that. */
void call_tell(ferry_call *call)
{
        loop_task_start(call->loop, &call->task);
        if (!call->home || call->is_telling)
                return;
        call->is_telling = true;
        call->home->telling++;
}

static void stop_telling(ferry_call *call)
{
        if (call->is_telling)
                call->home->telling--;
        call->is_telling = false;
}

static void leave_home(ferry_call *call)
{
        stop_telling(call);
        list_remove(&call->made_link);
        call->home = NULL;
}

static void leave_group(ferry_call *call)
{
        if (call->group)
                call->group->members--;
        call->group = NULL;
}

void call_destroy(ferry_call *call)
{
        call->is_freed = true;
        leave_group(call);
        leave_home(call);
        if (call->loop) {
                loop_timer_stop(call->loop, &call->timer);
                loop_task_stop(&call->task);
                list_remove(&call->holder.link);
                loop_bury(call->loop, &call->grave, bury);
        } else
                bury(&call->grave);
}

static void call_back(struct loop_task *task)
{
        ferry_call *call = container_of(task, ferry_call, task);

        /* The callback may let it go, too, which is then nothing. */
        call->is_freed = true;
        stop_telling(call);
        if (call->group)
                call->group->calling++;
        call->fn(call, call->status == 0 ? call->reply : NULL, call->userdata);
        /* The callback may have freed the group. */
        if (call->group && --call->group->calling == 0)
                call->group->returned(call->group);
        call_destroy(call);
}

/* Its reply has come: it is reported now, before what came behind it. */
void call_deliver(ferry_call *call)
{
        if (!call->fn)
                return;
        loop_task_stop(&call->task);
        call_back(&call->task);
}

static void forget_acceptance(ferry_call *call)
{
        loop_timer_stop(call->loop, &call->acceptance->timer);
        sys_free(call->acceptance);
        call->acceptance = NULL;
}

/* The loop goes; the call stays with the program, unless that has given it away and can be called. In a forked child it
 * cannot, and may still free the call. */
static void forget_loop(struct loop_holder *holder)
{
        ferry_call *call = container_of(holder, ferry_call, holder);

        if (call->fn && call->status != 1 && !call->is_freed && !loop_is_foreign(call->loop)) {
                call_deliver(call);
                return;
        }
        loop_timer_stop(call->loop, &call->timer);
        if (call->acceptance)
                forget_acceptance(call);
        loop_task_stop(&call->task);
        list_remove(&call->holder.link);
        call->loop = NULL;
}

/* Leave the session; what its fate says about the frame is read first. */
void call_leave_queue(ferry_call *call)
{
        list_remove(&call->link);
        if (call->queue)
                call->queue->size -= call->waiting_size;
        call->queue = NULL;
}

static void leave_session(ferry_call *call)
{
        ferry_session *session = call->session;

        call_leave_queue(call);
        if (!session)
                return;
        if (call->parts) {
                session->parts_kept -= call->parts->kept;
                call->parts->kept = 0;
        }
        map_remove(&session->calls_by_id, &call->node);
        outbox_forget(&call->frame);
        if (call->acceptance)
                forget_acceptance(call);
        call->session = NULL;
        /* That may have been the last thing that it is there for. */
        if (session->front && !loop_is_foreign(session->loop))
                loop_task_start(session->loop, &session->work);
}

static void end(ferry_call *call, int status, enum ferry_outcome outcome, ferry_message *reply)
{
        const struct call_owner *owner = call->owner;

        call->status = status;
        call->outcome = outcome;
        if (reply)
                reply->references++;
        call->reply = reply;
        leave_session(call);
        if (call->loop) {
                loop_timer_stop(call->loop, &call->timer);
                if (call->fn)
                        call_tell(call);
        }
        /* Before the owner gives a worker the next call, which the group may end. */
        if (call->group)
                call->group->ended(call->group, call);
        if (owner) {
                call->owner = NULL;
                owner->ended(call->owner_object, call);
        }
}

void call_succeed(ferry_call *call, ferry_message *reply)
{
        if (call->status == 1)
                end(call, 0, FERRY_OUTCOME_REPLIED, reply);
}

void call_end(ferry_call *call, int status, enum ferry_outcome outcome, ferry_message *reply, const char *format, ...)
{
        va_list arguments;

        if (call->status != 1)
                return;
        va_start(arguments, format);
        error_vreplace(&call->error, status, format, arguments);
        va_end(arguments);
        end(call, status, outcome, reply);
}

/* Whether any of its bytes may have reached the peer; if not, they are taken back. */
enum ferry_outcome call_withdraw(ferry_call *call)
{
        ferry_session *session = call->session;

        if (!session || call->frame.begin == call->frame.end)
                return FERRY_OUTCOME_NOT_EXECUTED;
        if (session->out.is_lent || call->frame.begin < session->out.begin)
                return FERRY_OUTCOME_UNKNOWN;
        outbox_withdraw(&session->out, &call->frame);
        return FERRY_OUTCOME_NOT_EXECUTED;
}

int call_set_type(ferry_call *call, const char *type)
{
        size_t size = strlen(type) + 1;

        call->type = size <= sizeof call->type_room ? memcpy(call->type_room, type, size) : text_copy(type);
        return call->type ? 0 : -ENOMEM;
}

void call_append_type(char *text, size_t size, const char *before, const ferry_call *call, const char *behind)
{
        size_t used = strlen(text);
        bool is_shown = call->type && strlen(call->type) <= TYPE_SHOWN_MAX;

        snprintf(text + used, size - used, "%s%s%s%s%s", before, is_shown ? " '" : "", is_shown ? call->type : "", is_shown ? "'" : "",
                 behind);
}

void calls_end(ferry_session *session, int status, const char *sentence)
{
        bool has_hint = status == -ECONNRESET && !session->wire.dialect->has_errors;
        bool may_withdraw = session->phase < SESSION_PEER_CLOSING;
        size_t unread = session->stream ? stream_count_lost(session->stream) : 0;
        /* Up to here the peer may have read. */
        uint64_t reached = session->out.begin - (unread < session->out.begin ? unread : session->out.begin);

        if (may_withdraw && !session->out.is_lent)
                outbox_withdraw_all(&session->out);
        while (!list_is_empty(&session->calls)) {
                ferry_call *call = container_of(session->calls.next, ferry_call, link);
                enum ferry_outcome outcome = FERRY_OUTCOME_UNKNOWN;
                char hint[160] = "";

                /* What waits would still be sent if this side closes; else a frame that was not taken whole
                 * cannot have been acted on. A worker of a pool that ends before it reads would get the same request for ever, so
                 * what is in its pipe counts as taken. */
                if (may_withdraw)
                        outcome = call_withdraw(call);
                else if ((call->owner ? session->out.begin : reached) < call->frame.end || (call->is_unread && !parts_have_come(call)))
                        outcome = FERRY_OUTCOME_NOT_EXECUTED;
                session_tell(session);
                call->child_exit_status = session->cause == CAUSE_CHILD ? session->child_exit_status : -1;
                if (has_hint && outcome == FERRY_OUTCOME_UNKNOWN)
                        call_append_type(hint, sizeof hint, ", which in this dialect is all that a failed request", call, " can say");
                if (outcome != FERRY_OUTCOME_NOT_EXECUTED || !call_comes_back(call))
                        call_end(call, status, outcome, NULL, "%s%s", sentence, hint);
        }
}

ferry_call *call_new(struct reserve *reserve, void (*is_late)(struct loop_timer *timer))
{
        size_t room = sizeof(ferry_call);
        ferry_call *call = reserve ? pile_take(&reserve->calls, room, &room) : sys_alloc(room);

        if (!call)
                return NULL;
        memset(call, 0, offsetof(ferry_call, type_room));
        memset(&call->timer, 0, sizeof *call - offsetof(ferry_call, timer));
        *call->id = '\0';
        call->reserve = reserve;
        call->room = room;
        list_init(&call->link);
        list_init(&call->holder.link);
        list_init(&call->made_link);
        list_init(&call->frame.link);
        call->holder.forget = forget_loop;
        call->status = 1;
        call->child_exit_status = -1;
        call->timer.fn = is_late;
        call->task.fn = call_back;
        return call;
}

/* Calls that wait for a session -------------------------------------------------------------------------- */

int call_keep_message(ferry_call *call, const char *type, const char *format, va_list arguments, struct error *error)
{
        ferry_builder builder;
        int code;

        if (!type)
                return error_set(error, -EINVAL, "a request has a type");
        builder_init(&builder, arena_new(256));
        builder_add_template(&builder, format, arguments);
        call->waiting_body = builder_take(&builder);
        code = call->waiting_body ? 0 : builder.error;
        if (code && *builder.place)
                error_set(error, code, "%s", builder.place);
        if (!call->waiting_body && builder.arena)
                arena_unref(builder.arena);
        builder_deinit(&builder);
        return code ? code : call_set_type(call, type);
}

static struct list *raise_top(struct call_queue *queue, unsigned index)
{
        queue->top = index > queue->top ? index : queue->top;
        return &queue->calls[index];
}

/* An empty queue takes any one. */
int call_join_queue(ferry_call *call, struct call_queue *queue)
{
        call->waiting_size = strlen(call->type) + tree_weigh(call->waiting_body);
        if (queue->size > 0 && (queue->size >= queue->max || call->waiting_size > queue->max - queue->size))
                return -ENOBUFS;
        call->queue = queue;
        call->number = queue->joined++;
        queue->size += call->waiting_size;
        list_append(raise_top(queue, 2 * (unsigned)call->priority), &call->link);
        return 0;
}

struct call_queue *call_queue_new(void)
{
        struct call_queue *queue = sys_alloc_zeroed(sizeof *queue);

        if (!queue)
                return NULL;
        for (int i = 0; i < 2 * CALL_PRIORITIES; i++)
                list_init(&queue->calls[i]);
        list_init(&queue->made);
        return queue;
}

void call_queue_set_max(struct call_queue *queue, size_t max)
{
        queue->max = max;
}

void call_queue_free(struct call_queue *queue)
{
        if (!queue)
                return;
        list_for_each(&queue->made, link)
                leave_home(container_of(link, ferry_call, made_link));
        sys_free(queue);
}

ferry_call *call_queue_first(struct call_queue *queue)
{
        while (queue->top > 0 && list_is_empty(&queue->calls[queue->top]))
                queue->top--;
        return list_first(&queue->calls[queue->top], ferry_call, link);
}

void call_join_group(ferry_call *call, struct call_group *group)
{
        call->group = group;
        group->members++;
}

/* No callback of the program runs meanwhile. */
void call_queue_end_group(struct call_queue *queue, const struct call_group *group, int status, const char *sentence)
{
        for (int i = 0; i < 2 * CALL_PRIORITIES; i++)
                list_for_each(&queue->calls[i], link) {
                        ferry_call *call = container_of(link, ferry_call, link);

                        if (call->group == group)
                                call_end(call, status, FERRY_OUTCOME_NOT_EXECUTED, NULL, "%s", sentence);
                }
}

void call_queue_forget_group(struct call_queue *queue, struct call_group *group)
{
        for (struct list *link = queue->made.next; group->members > 0 && link != &queue->made; link = link->next) {
                ferry_call *call = container_of(link, ferry_call, made_link);

                if (call->group == group)
                        leave_group(call);
        }
}

bool call_queue_is_reporting(const struct call_queue *queue)
{
        return queue->telling > 0;
}

bool call_comes_back(ferry_call *call)
{
        return call->status == 1 && call->owner && call->home && !loop_is_foreign(call->loop) &&
               call->owner->returned(call->owner_object, call);
}

/* Most come back in the order in which they were given. */
static void insert_returned(ferry_call *call)
{
        struct list *calls = raise_top(call->queue, 2 * (unsigned)call->priority + 1), *behind = calls;

        while (behind->previous != calls && container_of(behind->previous, ferry_call, link)->number > call->number)
                behind = behind->previous;
        list_append(behind, &call->link);
}

void call_wait_again(ferry_call *call)
{
        leave_session(call);
        call->deadline_mark = 0;
        call->is_unread = false;
        if (call->parts)
                call->parts->open = call->parts->taken = 0;
        call->owner = NULL;
        /* However full that is: it had its place there. */
        call->queue = call->home;
        call->queue->size += call->waiting_size;
        insert_returned(call);
        loop_timer_start(call->loop, &call->timer, call->wait_deadline);
}
