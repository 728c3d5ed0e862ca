#!/bin/sh
# A worker for pool.c, in shell: the tool takes the tasks, and has a command answer each; what that prints
# is the answer.
exec ferry listen stdio: --exec "sed 's/^/Worker sh completed /'"
