/* What a test finds around itself is chosen here, not by the user's shell: no variable of ferry, /tmp for files, the plain
 * locale, umask 022, three open standard descriptors, 1,024 descriptors at least if that is permitted, all signals with
 * their defaults and none blocked. */
#pragma once

void surroundings_choose(void);
