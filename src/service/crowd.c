/* Clients by user, so that what one user does keeps no other out. Invariant: a crowd is there as long as it has
 * members; its silent ones stand in the order in which they came. Whether one has spoken meanwhile is not known here. */
#include "service/crowd.h"

#include <errno.h>

void crowds_init(struct crowds *crowds)
{
        list_init(&crowds->list);
}

void crowds_deinit(struct crowds *crowds)
{
        list_for_each(&crowds->list, link) {
                struct crowd *crowd = container_of(link, struct crowd, link);

                /* A session that goes later leaves nothing that is gone. */
                while (crowd_take_silent(crowd))
                        ;
                list_remove(link);
                sys_free(crowd);
        }
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

int crowd_join(struct crowds *crowds, ferry_session *client)
{
        uid_t uid = ferry_session_peer(client).uid;
        struct crowd *crowd = crowd_find(crowds, uid);

        if (!crowd) {
                crowd = sys_alloc_zeroed(sizeof *crowd);
                if (!crowd)
                        return -ENOMEM;
                crowd->uid = uid;
                list_init(&crowd->silent);
                list_append(&crowds->list, &crowd->link);
        }
        crowd->count++;
        client->crowd = crowd;
        list_append(&crowd->silent, &client->crowd_link);
        return 0;
}

void crowd_leave(ferry_session *client)
{
        struct crowd *crowd = client->crowd;

        if (!crowd)
                return;
        client->crowd = NULL;
        list_remove(&client->crowd_link);
        if (--crowd->count > 0)
                return;
        list_remove(&crowd->link);
        sys_free(crowd);
}

ferry_session *crowd_take_silent(struct crowd *crowd)
{
        ferry_session *client = list_first(&crowd->silent, ferry_session, crowd_link);

        if (client)
                list_remove(&client->crowd_link);
        return client;
}
