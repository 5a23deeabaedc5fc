/* Preloaded: a clock that shows what it is told to, at first what WORLD_NOW says, and a disk that is full below one
 * directory. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long long shown;
static char full[4096];

void world_show(long long seconds) { shown = seconds; }

__attribute__((constructor)) static void begin(void)
{
    const char *now = getenv("WORLD_NOW");
    if (now)
        shown = atoll(now);
}

void world_fill(const char *directory) { snprintf(full, sizeof full, "%s", directory); }

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    if (shown && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec = (time_t)shown;
        now->tv_nsec = 0;
        return 0;
    }
    return real(clock, now);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}

static int refused(int file)
{
    char link[64], path[4096];
    if (!full[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, full, strlen(full)) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

#define WRITES(name, parameters, arguments)                                                                            \
    ssize_t name parameters                                                                                            \
    {                                                                                                                  \
        static ssize_t(*real) parameters;                                                                              \
        if (!real)                                                                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                 \
        return refused(file) ? -1 : real arguments;                                                                    \
    }

WRITES(write, (int file, const void *from, size_t size), (file, from, size))
WRITES(pwrite, (int file, const void *from, size_t size, off_t at), (file, from, size, at))
WRITES(pwrite64, (int file, const void *from, size_t size, off64_t at), (file, from, size, at))
WRITES(writev, (int file, const struct iovec *from, int count), (file, from, count))
