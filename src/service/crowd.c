/* Clients by user, so that what one user does keeps no other out. Invariants: a crowd is there as long as it has
 * members; its silent ones stand in the order in which they came. Whether one has spoken meanwhile is not known here.
 *
 * Half of the bytes that may be held is for all; each user has an equal share of that half, and of that each client of the user.
 * What is beyond that half is for users and clients within their share, so there is room for those that hold little. A client for
 * which nothing is held is always read: so each goes on, whatever the others hold, and a client that waits goes on at the latest
 * when what it holds itself is gone. What it holds of a message that is not complete goes only if it is read: so one such client
 * at a time has the turn, and is read whatever is held, until its message is complete. One that sends nothing more while others
 * wait is closed. */
#include "service/crowd.h"

#include <errno.h>

enum {
        UNCOUNTED_MAX = 4096,   /* bytes of a message that is not complete: so small ones wait for no turn */
        TURN_MS = 1000,         /* where close_timeout_ms is forever */
        TURN_TICKS_MAX = 30,    /* a turn lasts so many times close_timeout_ms at most, while others wait */
};

static void turn_is_long(struct loop_timer *timer);

void crowds_init(struct crowds *crowds, size_t held_max)
{
        *crowds = (struct crowds){ .held_max = held_max };
        list_init(&crowds->list);
        list_init(&crowds->waiting);
        crowds->turn_timer.fn = turn_is_long;
}

static void end_turn(struct crowds *crowds, ferry_loop *loop)
{
        crowds->turn = NULL;
        loop_timer_stop(loop, &crowds->turn_timer);
}

struct crowd *crowd_find(const struct crowds *crowds, uid_t uid)
{
        for (struct list *link = crowds->list.next; link != &crowds->list; link = link->next) {
                struct crowd *crowd = container_of(link, struct crowd, link);

                if (crowd->uid == uid)
                        return crowd;
        }
        return NULL;
}

struct crowd *crowds_largest(const struct crowds *crowds)
{
        struct crowd *largest = NULL;

        for (struct list *link = crowds->list.next; link != &crowds->list; link = link->next) {
                struct crowd *crowd = container_of(link, struct crowd, link);

                if (!largest || crowd->count > largest->count)
                        largest = crowd;
        }
        return largest;
}

/* Whether a client that holds so much is within its share, or its user is. */
static bool is_modest(const struct crowd *crowd, size_t held)
{
        size_t share = crowd->crowds->held_max / 2 / crowd->crowds->count;

        return crowd->held <= share || held <= share / crowd->count;
}

static bool may_hold_more(const struct client *client)
{
        const struct crowds *crowds = client->crowd->crowds;

        if (crowds->held <= crowds->held_max / 2 || client->counted == 0)
                return true;
        return crowds->held <= crowds->held_max && is_modest(client->crowd, client->counted);
}

/* Clients that wait are looked at again somewhat below each of the two limits, not with each byte. */
static bool has_room_again(const struct crowds *crowds, size_t before)
{
        size_t low = crowds->held_max / 8 * 3, high = crowds->held_max / 8 * 7;

        return (before > low && crowds->held <= low) || (before > high && crowds->held <= high) || crowds->held == 0;
}

static void count_held(struct client *client, size_t held)
{
        struct crowd *crowd = client->crowd;
        struct crowds *crowds = crowd->crowds;
        size_t before = crowds->held;
        struct list asked;

        crowd->held += held - client->counted;
        crowds->held += held - client->counted;
        client->counted = held;
        if (!has_room_again(crowds, before))
                return;
        /* Those that have to wait on stand in the other list then. */
        list_init(&asked);
        list_for_each(&crowds->waiting, link) {
                list_remove(link);
                list_append(&asked, link);
        }
        list_for_each(&asked, link) {
                list_remove(link);
                if (container_of(link, struct client, waiting_link) != client)
                        session_update(container_of(link, struct client, waiting_link)->session);
        }
}

static void start_turn_timer(struct crowds *crowds)
{
        int timeout_ms = session_close_timeout(crowds->turn->session);

        crowds->turn_taken = session_taken(crowds->turn->session);
        loop_timer_start(session_loop(crowds->turn->session), &crowds->turn_timer, loop_deadline(timeout_ms < 0 ? TURN_MS : timeout_ms));
}

static void turn_is_long(struct loop_timer *timer)
{
        struct crowds *crowds = container_of(timer, struct crowds, turn_timer);
        bool is_silent = session_taken(crowds->turn->session) == crowds->turn_taken;

        if (!list_is_empty(&crowds->waiting) && (is_silent || ++crowds->turn_ticks >= TURN_TICKS_MAX))
                session_finish(crowds->turn->session, -ETIMEDOUT, "the client did not complete a message while others waited"
                                                                  " for the memory (bytes_max)");
        else
                start_turn_timer(crowds);
}

/* The next one may complete its message. */
static void pass_turn(struct client *client)
{
        struct crowds *crowds = client->crowd->crowds;

        if (crowds->turn != client)
                return;
        end_turn(crowds, session_loop(client->session));
        for (size_t left = list_count(&crowds->waiting); left > 0 && !crowds->turn && !list_is_empty(&crowds->waiting); left--) {
                struct client *next = list_first(&crowds->waiting, struct client, waiting_link);

                list_remove(&next->waiting_link);
                list_append(&crowds->waiting, &next->waiting_link);
                if (next != client)
                        session_update(next->session);
        }
}

/* Whether it has the turn, which it takes if no other client has it. */
static bool has_turn(struct client *client)
{
        struct crowds *crowds = client->crowd->crowds;

        if (!crowds->turn && client->counted_whole == 0 && session_is_open(client->session)) {
                crowds->turn = client;
                crowds->turn_ticks = 0;
                start_turn_timer(crowds);
        }
        return crowds->turn == client;
}

bool crowd_counts(struct client *client, size_t held, size_t unfinished)
{
        size_t all = held + (unfinished > UNCOUNTED_MAX ? unfinished : 0);

        if (!client->crowd)
                return true;
        client->counted_whole = held;
        if (all != client->counted)
                count_held(client, all);
        if (all == held || held > 0 || !session_is_open(client->session))
                pass_turn(client);
        list_remove(&client->waiting_link);
        if (may_hold_more(client) || has_turn(client))
                return true;
        list_append(&client->crowd->crowds->waiting, &client->waiting_link);
        return false;
}

/* A message that is alone is taken, however large it is. A client to which one is refused is looked at again when there is room. */
bool crowd_takes(struct client *client, size_t size)
{
        struct crowds *crowds = client->crowd ? client->crowd->crowds : NULL;

        if (!crowds || crowds->held == 0 ||
            (may_hold_more(client) && crowds->held < crowds->held_max && size <= crowds->held_max - crowds->held))
                return true;
        if (list_is_empty(&client->waiting_link))
                list_append(&crowds->waiting, &client->waiting_link);
        return false;
}

int crowd_join(struct crowds *crowds, struct client *client)
{
        uid_t uid = ferry_session_peer(client->session).uid;
        struct crowd *crowd = crowd_find(crowds, uid);

        if (!crowd) {
                crowd = sys_alloc_zeroed(sizeof *crowd);
                if (!crowd)
                        return -ENOMEM;
                crowd->uid = uid;
                crowd->crowds = crowds;
                crowds->count++;
                list_init(&crowd->silent);
                list_append(&crowds->list, &crowd->link);
        }
        crowd->count++;
        client->crowd = crowd;
        list_append(&crowd->silent, &client->crowd_link);
        return 0;
}

void crowd_leave(struct client *client)
{
        struct crowd *crowd = client->crowd;

        if (!crowd)
                return;
        count_held(client, 0);
        pass_turn(client);
        client->crowd = NULL;
        list_remove(&client->crowd_link);
        list_remove(&client->waiting_link);
        if (--crowd->count > 0)
                return;
        crowd->crowds->count--;
        list_remove(&crowd->link);
        sys_free(crowd);
}

struct client *crowd_take_silent(struct crowd *crowd)
{
        struct client *client = list_first(&crowd->silent, struct client, crowd_link);

        if (client)
                list_remove(&client->crowd_link);
        return client;
}
