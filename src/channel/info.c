/* What is known of a channel, as a map. */
#include "channel/channel.h"

#include <string.h>

static void add_number(ferry_builder *builder, const char *key, int64_t number)
{
        ferry_builder_key(builder, "%s", key);
        if (number < 0)
                ferry_builder_add(builder, "null");
        else
                ferry_builder_add(builder, "%lld", (long long)number);
}

static void add_flag(ferry_builder *builder, const char *key, bool flag)
{
        ferry_builder_key(builder, "%s", key);
        ferry_builder_add(builder, "%hhd", flag);
}

ferry_value *ferry_channel_info(const ferry_channel *channel)
{
        struct channel_facts facts;
        ferry_value *info = NULL;
        ferry_builder *builder;

        if (!channel || loop_is_elsewhere(channel->loop))
                return NULL;
        memset(&facts, 0xff, sizeof facts);
        if (channel->phase < CHANNEL_FAILED && channel->kind->describe)
                channel->kind->describe(channel, &facts);
        builder = ferry_builder_new();
        ferry_builder_open(builder, FERRY_VALUE_MAP, NULL);
        ferry_builder_key(builder, "kind");
        ferry_builder_add(builder, "%s", channel->kind ? channel->kind->name : NULL);
        ferry_builder_key(builder, "address");
        ferry_builder_add(builder, "%s", channel->address);
        ferry_builder_key(builder, "end");
        ferry_builder_add(builder, "%s", channel->end == FERRY_SEND ? "send" : "receive");
        if (channel->kind) {
                add_flag(builder, "is_records", channel->kind->is_records);
                add_flag(builder, "is_two_way", channel->kind->is_two_way);
                add_flag(builder, "is_ordered", channel->kind->is_ordered);
                add_flag(builder, "is_persistent", channel->kind->is_persistent);
        }
        add_number(builder, "record_max", ferry_channel_record_max(channel) == SIZE_MAX ? -1 :
                                          (int64_t)ferry_channel_record_max(channel));
        add_number(builder, "uid", facts.uid);
        add_number(builder, "mode", facts.mode);
        add_flag(builder, "is_wide", channel->is_wide);
        add_number(builder, "refused", (int64_t)channel->refused);
        add_number(builder, "records", facts.records);
        add_number(builder, "records_max", facts.records_max);
        add_number(builder, "bytes", facts.bytes);
        add_number(builder, "bytes_max", facts.bytes_max);
        add_number(builder, "id", facts.id);
        add_number(builder, "key", facts.key);
        add_number(builder, "sent", facts.sent);
        add_number(builder, "received", facts.received);
        add_number(builder, "changed", facts.changed);
        add_number(builder, "last_sender", facts.last_sender);
        add_number(builder, "last_receiver", facts.last_receiver);
        ferry_builder_close(builder);
        ferry_builder_finish(builder, &info);
        return info;
}
