/* What trap.c and faults.c need to know of each other. */
#ifndef QUEUEKEEPER_TRAP_H
#define QUEUEKEEPER_TRAP_H

#include <stddef.h>

/* Every call of these numbers by this process goes to handle() from now on; 0, or -1 with errno. */
int trap_calls(const int *numbers, size_t count, long (*handle)(int number, const long *arguments));

/* A system call that is not caught, with the kernel's result: -errno for an error. */
long trap_real(long number, long a, long b, long c, long d, long e, long f);

#endif
