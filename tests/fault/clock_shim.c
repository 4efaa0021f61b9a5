/* LD_PRELOAD: shifts CLOCK_REALTIME of one process and its children by what a file says, now.
 *
 * The file holds one int64, nanoseconds; it is mapped, so a jump happens in running processes.
 * Monotonic clocks stay. Absolute real-time waits are given to the kernel in its own time. A wait
 * under way does not notice a jump (on a real machine a jump forward would end it).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL

static const volatile int64_t *shift;
static int64_t none;

__attribute__((constructor)) static void map_file(void) {
    shift = &none;
    const char *path = getenv("LESTO_FAULT_CLOCK");
    if (!path) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) shift = at;
}

static int64_t by(void) { return shift ? *shift : 0; }

static struct timespec moved(const struct timespec *t, int64_t ns) {
    int64_t all = (int64_t)t->tv_sec * BILLION + t->tv_nsec + ns;
    if (all < 0) all = 0;
    struct timespec out = {.tv_sec = all / BILLION, .tv_nsec = all % BILLION};
    return out;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, out);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *out = moved(out, by());
    return code;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec t;
    int code = clock_gettime(CLOCK_REALTIME, &t);
    out->tv_sec = t.tv_sec;
    out->tv_usec = t.tv_nsec / 1000;
    return code;
}

time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}

int timespec_get(struct timespec *out, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, out) == 0 ? base : 0;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
                           const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    /* Two versions exist; the unversioned look-up may find the incompatible one. */
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    if (c->__data.__wrefs & 2) return real(c, m, until); /* waits on the monotonic clock */
    struct timespec t = moved(until, -by());
    return real(c, m, &t);
}

int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                           const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    struct timespec t = moved(until, clock == CLOCK_REALTIME ? -by() : 0);
    return real(c, m, clock, &t);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict m, const struct timespec *restrict until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec t = moved(until, -by());
    return real(m, &t);
}

int sem_timedwait(sem_t *restrict s, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec t = moved(until, -by());
    return real(s, &t);
}

int sem_clockwait(sem_t *restrict s, clockid_t clock, const struct timespec *restrict until) {
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_clockwait");
    struct timespec t = moved(until, clock == CLOCK_REALTIME ? -by() : 0);
    return real(s, clock, &t);
}

/* Abseil, below gRPC, waits with the futex system call itself. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    __builtin_va_list list;
    __builtin_va_start(list, number);
    long a = __builtin_va_arg(list, long), b = __builtin_va_arg(list, long);
    long c = __builtin_va_arg(list, long), d = __builtin_va_arg(list, long);
    long e = __builtin_va_arg(list, long), f = __builtin_va_arg(list, long);
    __builtin_va_end(list);
    struct timespec t;
    if (number == SYS_futex && (b & FUTEX_CLOCK_REALTIME) && d) {
        t = moved((const struct timespec *)d, -by());
        d = (long)&t;
    }
    return real(number, a, b, c, d, e, f);
}
