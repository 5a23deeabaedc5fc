/* Absolute paths of what a system call is about. */
#ifndef QUEUEKEEPER_PATHS_H
#define QUEUEKEEPER_PATHS_H

#include <stddef.h>

#define LONGEST 4096

/* The path of an open file, into LONGEST bytes; its length, 0 if there is none. */
size_t path_of_fd(long fd, char *path);

/* A path as a call gives it, relative to a directory's descriptor, made absolute; its length. */
size_t path_at(int directory, const char *given, char *path);

#endif
