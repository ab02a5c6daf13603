#!/usr/bin/env bash
# A shell with job control: each job has a process group of its own, one is a pipeline, one is stopped, one ignores TERM.
# `exec -a` puts the marker into the arguments of programs that take none.
marker=$1 stage=$2
set -m
(exec -a "$marker" sleep 120) &
(exec -a "$marker" sleep 120) | (exec -a "$marker" sleep 120) &
(trap '' TERM INT HUP; exec -a "$marker" sleep 120) &
(exec -a "$marker" sleep 120) &
kill -STOP $!
[ -p "$stage/ready" ] && printf 1 > "$stage/ready"
wait
