/* Every fault that the system may cause, at every place where the library calls it: fault.h tells how. */
#include "fault/fault.h"

int main(void)
{
        static const struct scenario *const groups[] = { value_scenarios, session_scenarios, stream_scenarios,
                                                         service_scenarios, innmind_scenarios, pcntl_scenarios,
                                                         process_scenarios, store_scenarios, channel_scenarios, bridge_scenarios,
                                                         handing_scenarios, nats_scenarios };

        return fault_main(groups, sizeof groups / sizeof *groups);
}
