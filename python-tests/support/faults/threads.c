/* Preloaded into a host: makes syncs and new threads fail. Files in the directory FAULTS say which.
 *
 *   sync       every sync finds the disk full
 *   sync-once  the next one does, and those behind it succeed, as with a disk that reports a lost write
 *   threads    so many more threads may begin as the file has bytes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *fault(const char *name, char *place, size_t size)
{
    const char *directory = getenv("FAULTS");
    snprintf(place, size, "%s/%s", directory == NULL ? "/nonexistent" : directory, name);
    return place;
}

static int disk_is_full(void)
{
    char place[4096];
    return unlink(fault("sync-once", place, sizeof place)) == 0 ||
           access(fault("sync", place, sizeof place), F_OK) == 0;
}

static int sync_by(const char *function, int file)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
    if (disk_is_full()) {
        errno = ENOSPC;
        return -1;
    }
    return next(file);
}

int fsync(int file)
{
    return sync_by("fsync", file);
}

int fdatasync(int file)
{
    return sync_by("fdatasync", file);
}

static int no_more_threads(void)
{
    char place[4096];
    struct stat found;
    int refused = 0, file = open(fault("threads", place, sizeof place), O_RDWR);
    if (file < 0)
        return 0;
    if (fstat(file, &found) == 0)
        refused = found.st_size == 0 || ftruncate(file, found.st_size - 1) != 0;
    close(file);
    return refused;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*body)(void *), void *argument)
{
    typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    create *next = (create *)dlsym(RTLD_NEXT, "pthread_create");
    return no_more_threads() ? EAGAIN : next(thread, how, body, argument);
}
