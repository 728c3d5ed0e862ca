/* Addresses of services on other machines: [USER@]HOST[:PORT]:NAME. */
#pragma once

#include <stddef.h>

struct ssh_address {
        const char *user;       /* or NULL; these point into the text */
        size_t user_size;
        const char *host;       /* without brackets */
        size_t host_size;
        const char *port;       /* digits, or NULL */
        size_t port_size;
        const char *name;       /* an address, for the machine of the host */
};

/* @text: what follows the scheme. 0 or -EINVAL. The name has been checked, but for that of another ssh:. */
int ssh_parse(const char *text, struct ssh_address *ret);

/* Why an address is refused, for a sentence. */
extern const char ssh_form[];
