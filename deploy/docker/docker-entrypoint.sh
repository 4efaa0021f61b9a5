#!/bin/sh
# First program of Lesto's image: turns the habits of containers into Lesto's configuration, then
# becomes the command. `docker run lesto jobmanager` runs `lesto jobmanager`; a shell, an interpreter
# and whatever has a path run as they are.
set -eu

# Flink's variables, with Flink's meaning.
if [ -n "${FLINK_PROPERTIES:-}" ]; then
    LESTO_PROPERTIES="${FLINK_PROPERTIES}
${LESTO_PROPERTIES:-}"
    export LESTO_PROPERTIES
    unset FLINK_PROPERTIES
fi
if [ -n "${TASK_MANAGER_NUMBER_OF_TASK_SLOTS:-}" ]; then
    export LESTO_TASKMANAGER__NUMBEROFTASKSLOTS="$TASK_MANAGER_NUMBER_OF_TASK_SLOTS"
fi
if [ -n "${JOB_MANAGER_RPC_ADDRESS:-}" ]; then
    export LESTO_JOBMANAGER__RPC__ADDRESS="$JOB_MANAGER_RPC_ADDRESS"
fi

# The image brings the kernels' machine code for one kind of processor. Where this one is older, they
# are compiled for it when the first slot starts, which takes minutes.
if [ -z "${NUMBA_CPU_NAME:-}" ]; then
    case "$(uname -m)" in
    x86_64)
        missing=
        for flag in avx2 bmi1 bmi2 fma movbe f16c abm; do
            grep -qm1 "^flags.* $flag\( \|\$\)" /proc/cpuinfo || missing="$missing $flag"
        done
        if [ -z "$missing" ]; then
            export NUMBA_CPU_NAME=x86-64-v3
            export NUMBA_CPU_FEATURES=+avx,+avx2,+bmi,+bmi2,+cmov,+crc32,+cx16,+cx8,+f16c,+fma,+fxsr,+lzcnt,+mmx,+movbe,+popcnt,+sahf,+sse,+sse2,+sse3,+sse4.1,+sse4.2,+ssse3,+xsave
        else
            export NUMBA_CPU_NAME=x86-64 NUMBA_CPU_FEATURES=+cmov,+cx8,+fxsr,+mmx,+sse,+sse2
        fi
        ;;
    aarch64 | arm64)
        export NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES=+neon
        ;;
    esac
fi

case "${1:-}" in
*/* | lesto | sh | bash | python | python3 | pip | env) exec "$@" ;;
*) exec lesto "$@" ;;
esac
