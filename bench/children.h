/* The row of starting a child: how long it takes a parent with little and with much memory. */
#pragma once

/* Measures, in a process of its own. */
void children_run(int rounds);
