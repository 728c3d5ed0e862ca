/* Another machine: a private sshd(8) on the loopback, by tools/sshd.sh. */
#pragma once

#include <stdbool.h>

/* Whether sshd lets our user run commands. */
bool sshd_is_there(void);

/* Server: starts it, on our CPU; it ends with this process. */
void sshd_start(void);

/* Client: ssh(1) is found that gets to the host `localhost` there. */
void sshd_use(void);
