/*
** Absolute paths, by what the kernel says in /proc/self. Nothing is tidied up: what is below a directory is found by its
** beginning, and the library names files by absolute paths without detours.
*/
#define _GNU_SOURCE

#include "paths.h"

#include "trap.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

/* The path that a link in /proc/self leads to; its length, 0 if there is none. */
static size_t follow(const char *link, char *path)
{
    long length = trap_real(SYS_readlink, (long)link, (long)path, LONGEST - 1, 0, 0, 0);
    path[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

size_t path_of_fd(long fd, char *path)
{
    char link[40] = "/proc/self/fd/";
    char digits[20];
    size_t count = 0, at = strlen(link);
    path[0] = 0;
    if (fd < 0)
        return 0;
    do
        digits[count++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (count > 0)
        link[at++] = digits[--count];
    link[at] = 0;
    return follow(link, path);
}

size_t path_at(int directory, const char *given, char *path)
{
    size_t length = 0, more = given == NULL ? 0 : strlen(given);
    if (more == 0 || given[0] != '/')
        length = directory == AT_FDCWD ? follow("/proc/self/cwd", path) : path_of_fd(directory, path);
    if (length > 0 && more > 0)
        path[length++] = '/';
    if (length + more >= LONGEST)
        more = 0;
    if (more > 0)
        memcpy(path + length, given, more);
    path[length + more] = 0;
    return length + more;
}
